// dx = gamma · s · dy with s = 1/√(variance + eps); where the statistics are the batch's own (`batch`), dx = gamma · s · (dy − dBeta/total −
// x̂ dGamma/total). One invocation per element.
//#params
alias Elem = f32;
//#end
struct Uniforms { origin: vec3u, rows: u32, c: u32, total: u32, eps: f32 }
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> dy: array<Elem>;                 // [rows, c]
@group(0) @binding(2) var<storage, read> variance: array<f32>;            // [c]
@group(0) @binding(3) var<storage, read> gamma: array<f32>;               // [c]
@group(0) @binding(4) var<storage, read_write> dx: array<Elem>;           // [rows, c]
@group(0) @binding(5) var<storage, read> x: array<Elem>;                  // [rows, c] //#if batch
@group(0) @binding(6) var<storage, read> mean: array<f32>;                // [c] //#if batch
@group(0) @binding(7) var<storage, read> dGamma: array<f32>;              // [c] //#if batch
@group(0) @binding(8) var<storage, read> dBeta: array<f32>;               // [c] //#if batch

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) t: u32) {
  let e = (group.x + u.origin.x) * 64u + t;
  if (e >= u.rows * u.c) { return; }
  let j = e % u.c;
  let s = inverseSqrt(variance[j] + u.eps);
  var g = f32(dy[e]);
  g -= (dBeta[j] + (f32(x[e]) - mean[j]) * s * dGamma[j]) / f32(u.total); //#if batch
  dx[e] = Elem(g * s * gamma[j]);
}
