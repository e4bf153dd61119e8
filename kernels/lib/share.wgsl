// Which matrices the workgroups at z of a product multiply, and which steps of k they add up: all of them, or with `parts` the share of one
// part, which begins at a multiple of 32. The template declares the numbers of matmul.
struct Share { za: u32, zb: u32, start: u32, end: u32 }

fn shareOf(z: u32) -> Share {
  var product = z;
  var start = 0u;
  var end = u.k;
  //#if parts
  let length = (u.k + 32u * u.splits - 1u) / (32u * u.splits) * 32u;
  product = z % u.batch;
  start = z / u.batch * length;
  end = max(start, min(start + length, u.k));                       // the last ones may have none
  //#endif
  return Share(select(product, 0u, u.batchA == 1u), select(product, 0u, u.batchB == 1u), start, end); // a batch of one is shared by all
}
