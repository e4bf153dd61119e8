// Means over anchors from partial sums: loss, entropy, their difference, and the number of anchors. One workgroup: each invocation
// adds every 64th part, then a tree joins them in a fixed order.
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

const LANES = 64u;
var<workgroup> joined: array<vec3f, LANES>;

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) t: u32) {
  var sum = vec3f(0.0);
  for (var p = t + (group.x + u.origin.x); p < u.parts; p += LANES) { sum += vec3f(sums[3u * p], sums[3u * p + 1u], sums[3u * p + 2u]); }
  joined[t] = sum;
  workgroupBarrier();                                                  // every sum is there before the first is joined
  for (var stride = LANES / 2u; stride > 0u; stride /= 2u) {
    if (t < stride) { joined[t] += joined[t + stride]; }
    workgroupBarrier();                                                // one level is done before the next reads it
  }
  if (t > 0u) { return; }
  let all = joined[0];
  let count = max(all.z, 1.0);
  loss[0] = all.x / count;
  entropy[0] = all.y / count;
  divergence[0] = (all.x - all.y) / count;
  anchors[0] = all.z;
}
