// Partial sums over anchors: part p adds rows p, p + parts, … of loss, entropy and the count of rows with mass; one invocation per part.
//#params
alias Elem = f32;
//#end
struct Uniforms { origin: vec3u, n: u32, parts: u32 }
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> loss: array<f32>;             // [n]
@group(0) @binding(2) var<storage, read> entropy: array<f32>;          // [n]
@group(0) @binding(3) var<storage, read> mass: array<f32>;             // [n]
@group(0) @binding(4) var<storage, read_write> sums: array<f32>;       // [parts, 3]

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) t: u32) {
  let p = (group.x + u.origin.x) * 64u + t;
  if (p >= u.parts) { return; }
  var sum = vec3f(0.0);
  for (var i = p; i < u.n; i += u.parts) { sum += vec3f(loss[i], entropy[i], select(0.0, 1.0, mass[i] > 0.0)); }
  sums[3u * p] = sum.x;
  sums[3u * p + 1u] = sum.y;
  sums[3u * p + 2u] = sum.z;
}
