// Running statistics move towards those of the batch by `momentum`; the variance they keep is the unbiased one.
//
// A batch whose statistics are not finite, which the stored bits tell, leaves them alone: they would never recover.
struct Uniforms { origin: vec3u, rows: u32, c: u32, momentum: f32 }
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> mean: array<f32>;                // [c]
@group(0) @binding(2) var<storage, read> variance: array<f32>;            // [c]
@group(0) @binding(3) var<storage, read_write> runningMean: array<f32>;   // [c]
@group(0) @binding(4) var<storage, read_write> runningVariance: array<f32>;// [c]

fn isFinite(x: f32) -> bool { return (bitcast<u32>(x) & 0x7f800000u) != 0x7f800000u; }

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) t: u32) {
  let j = (group.x + u.origin.x) * 64u + t;
  if (j >= u.c) { return; }
  if (!isFinite(mean[j]) || !isFinite(variance[j])) { return; }
  // A single row has no spread to estimate: its zero stays zero.
  let unbiased = variance[j] * (f32(u.rows) / f32(max(u.rows, 2u) - 1u));
  runningMean[j] += u.momentum * (mean[j] - runningMean[j]);
  runningVariance[j] += u.momentum * (unbiased - runningVariance[j]);
}
