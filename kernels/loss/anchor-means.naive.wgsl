// Means over anchors from partial sums: loss, entropy, their difference (the divergence of p from q), and the number of anchors.
// One invocation adds the parts in order; without an anchor all is 0.
//#params
alias Elem = f32;
//#end
struct Uniforms { origin: vec3u, parts: u32 }
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> sums: array<f32>;             // [parts, 3]
@group(0) @binding(2) var<storage, read_write> loss: array<f32>;       // [1]
@group(0) @binding(3) var<storage, read_write> entropy: array<f32>;    // [1]
@group(0) @binding(4) var<storage, read_write> divergence: array<f32>; // [1]
@group(0) @binding(5) var<storage, read_write> anchors: array<f32>;    // [1]

@compute @workgroup_size(1)
fn main(@builtin(workgroup_id) group: vec3u) {
  if (any(group + u.origin != vec3u(0u))) { return; }
  var sum = vec3f(0.0);
  for (var p = 0u; p < u.parts; p++) { sum += vec3f(sums[3u * p], sums[3u * p + 1u], sums[3u * p + 2u]); }
  let count = max(sum.z, 1.0);
  loss[0] = sum.x / count;
  entropy[0] = sum.y / count;
  divergence[0] = (sum.x - sum.y) / count;
  anchors[0] = sum.z;
}
