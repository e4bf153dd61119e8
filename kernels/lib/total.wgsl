// The sum of one number from each of a workgroup's WIDTH invocations (a power of two), the same for all, added up in a tree.
// The template has the constant WIDTH; calls stand in uniform control flow.
var<workgroup> totals: array<f32, WIDTH>;

fn total(x: f32, t: u32) -> f32 {
  workgroupBarrier();
  totals[t] = x;
  for (var half = WIDTH / 2u; half > 0u; half /= 2u) {
    workgroupBarrier();
    if (t < half) { totals[t] += totals[t + half]; }
  }
  workgroupBarrier();
  return totals[0];
}
