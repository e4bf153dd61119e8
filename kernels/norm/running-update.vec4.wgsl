// Running statistics move towards those of the batch by `momentum`, four columns an invocation; sizes c that are multiples of 4.
//
// A batch whose statistics are not finite, which the stored bits tell, leaves them alone: they would never recover.
struct Uniforms { origin: vec3u, rows: u32, c: u32, momentum: f32 }
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> mean: array<vec4f>;                // [c]
@group(0) @binding(2) var<storage, read> variance: array<vec4f>;            // [c]
@group(0) @binding(3) var<storage, read_write> runningMean: array<vec4f>;   // [c]
@group(0) @binding(4) var<storage, read_write> runningVariance: array<vec4f>;// [c]

fn isFinite(x: vec4f) -> vec4<bool> { return (bitcast<vec4u>(x) & vec4u(0x7f800000u)) != vec4u(0x7f800000u); }

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) t: u32) {
  let j = (group.x + u.origin.x) * 64u + t;
  if (j >= u.c / 4u) { return; }
  // A single row has no spread to estimate: its zero stays zero.
  let unbiased = variance[j] * (f32(u.rows) / f32(max(u.rows, 2u) - 1u));
  let good = isFinite(mean[j]) & isFinite(variance[j]);
  runningMean[j] = select(runningMean[j], runningMean[j] + u.momentum * (mean[j] - runningMean[j]), good);
  runningVariance[j] = select(runningVariance[j], runningVariance[j] + u.momentum * (unbiased - runningVariance[j]), good);
}
