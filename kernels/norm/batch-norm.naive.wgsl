// y = act((x − mean)/√(variance + eps) · gamma + beta + residual) with the statistics of each column; one invocation per element.
//#params
alias Elem = f32;
//#end
//#use activation
struct Uniforms { origin: vec3u, rows: u32, c: u32, eps: f32 }
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> x: array<Elem>;                  // [rows, c]
@group(0) @binding(2) var<storage, read> mean: array<f32>;                // [c]
@group(0) @binding(3) var<storage, read> variance: array<f32>;            // [c]
@group(0) @binding(4) var<storage, read> gamma: array<f32>;               // [c]
@group(0) @binding(5) var<storage, read> beta: array<f32>;                // [c]
@group(0) @binding(6) var<storage, read_write> y: array<Elem>;            // [rows, c]
@group(0) @binding(7) var<storage, read> residual: array<Elem>;           // [rows, c] //#if residual

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) t: u32) {
  let e = (group.x + u.origin.x) * 64u + t;
  if (e >= u.rows * u.c) { return; }
  let j = e % u.c;
  var v = (f32(x[e]) - mean[j]) * inverseSqrt(variance[j] + u.eps) * gamma[j] + beta[j];
  v += f32(residual[e]); //#if residual
  v = relu(v); //#if relu
  v = gelu(v); //#if gelu
  v = silu(v); //#if silu
  y[e] = Elem(v);
}
