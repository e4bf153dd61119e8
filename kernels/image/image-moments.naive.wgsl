// Mean and sum of squared deviations from it, of part p of each image: groups p, p + parts, … of four elements.
// Two passes over the part, since a difference of large squares would cancel. One invocation per part: the readable specification.
//#params
alias Elem = f32;
//#end
struct Uniforms { origin: vec3u, b: u32, n: u32, parts: u32 }
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> x: array<Elem>;               // [b, n]
@group(0) @binding(2) var<storage, read_write> partial: array<f32>;    // [b, parts, 3]

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) t: u32) {
  let wg = group + u.origin;
  let p = wg.x * 64u + t;
  if (p >= u.parts) { return; }
  let image = wg.y * u.n;
  var sum = 0.0;
  var count = 0.0;
  for (var q = p; 4u * q < u.n; q += u.parts) {
    for (var i = 4u * q; i < min(4u * q + 4u, u.n); i++) {
      sum += f32(x[image + i]);
      count += 1.0;
    }
  }
  let mean = sum / count;
  var squares = 0.0;
  for (var q = p; 4u * q < u.n; q += u.parts) {
    for (var i = 4u * q; i < min(4u * q + 4u, u.n); i++) {
      let deviation = f32(x[image + i]) - mean;
      squares += deviation * deviation;
    }
  }
  let at = 3u * (wg.y * u.parts + p);
  partial[at] = mean;
  partial[at + 1u] = squares;
  partial[at + 2u] = count;
}
