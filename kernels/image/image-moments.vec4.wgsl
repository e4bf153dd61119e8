// Mean and sum of squared deviations from it, of part p of each image: groups p, p + parts, … of four elements, a group at a time.
// Two passes over the part, since a difference of large squares would cancel. One invocation per part.
//#params
alias Elem = f32;
//#end
alias Elem4 = vec4<Elem>;
struct Uniforms { origin: vec3u, b: u32, n: u32, parts: u32 }
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> x: array<Elem4>;              // [b, n]
@group(0) @binding(2) var<storage, read_write> partial: array<f32>;    // [b, parts, 3]

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) t: u32) {
  let wg = group + u.origin;
  let p = wg.x * 64u + t;
  if (p >= u.parts) { return; }
  let groups = u.n / 4u;
  let image = wg.y * groups;
  var sum = vec4f(0.0);
  var count = 0.0;
  for (var q = p; q < groups; q += u.parts) {
    sum += vec4f(x[image + q]);
    count += 4.0;
  }
  let mean = ((sum.x + sum.y) + (sum.z + sum.w)) / count;
  var squares = vec4f(0.0);
  for (var q = p; q < groups; q += u.parts) {
    let deviation = vec4f(x[image + q]) - mean;
    squares += deviation * deviation;
  }
  let at = 3u * (wg.y * u.parts + p);
  partial[at] = mean;
  partial[at + 1u] = (squares.x + squares.y) + (squares.z + squares.w);
  partial[at + 2u] = count;
}
