// y = act(Σ parts + bias) + residual, the parts in their order, one invocation per element.
//#params
alias Elem = f32;
//#end
//#use activation
struct Uniforms { origin: vec3u, splits: u32, rows: u32, n: u32 }
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> parts: array<f32>;         // [splits, rows, n]
@group(0) @binding(2) var<storage, read_write> y: array<Elem>;      // [rows, n]
@group(0) @binding(3) var<storage, read> bias: array<Elem>;         // [n] //#if bias
@group(0) @binding(4) var<storage, read> residual: array<Elem>;     // [rows, n] //#if residual

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) t: u32) {
  let at = (group.x + u.origin.x) * 64u + t;
  if (at >= u.rows * u.n) { return; }
  var sum = 0.0;
  for (var s = 0u; s < u.splits; s++) { sum += parts[s * u.rows * u.n + at]; }
  sum += f32(bias[at % u.n]);                                       //#if bias
  sum = relu(sum);                                                  //#if relu
  sum = gelu(sum);                                                  //#if gelu
  sum = silu(sum);                                                  //#if silu
  sum += f32(residual[at]);                                         //#if residual
  y[at] = Elem(sum);
}
