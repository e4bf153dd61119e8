// y = act((x − mean)/√(variance + eps) · gamma + beta + residual) with the statistics of each column; one invocation per four columns
// of ROWS rows. Sizes c that are multiples of 4.
//#params
alias Elem = f32;
const ROWS = 16u;
//#end
alias Elem4 = vec4<Elem>;
//#use activation
struct Uniforms { origin: vec3u, rows: u32, c: u32, eps: f32 }
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> x: array<Elem4>;                 // [rows, c]
@group(0) @binding(2) var<storage, read> mean: array<vec4f>;              // [c]
@group(0) @binding(3) var<storage, read> variance: array<vec4f>;          // [c]
@group(0) @binding(4) var<storage, read> gamma: array<vec4f>;             // [c]
@group(0) @binding(5) var<storage, read> beta: array<vec4f>;              // [c]
@group(0) @binding(6) var<storage, read_write> y: array<Elem4>;           // [rows, c]
@group(0) @binding(7) var<storage, read> residual: array<Elem4>;          // [rows, c] //#if residual

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) t: u32) {
  let c4 = u.c / 4u;
  let e = (group.x + u.origin.x) * 64u + t;
  let first = (e / c4) * ROWS;
  if (first >= u.rows) { return; }
  let j = e % c4;
  let m = mean[j];
  let slope = inverseSqrt(variance[j] + u.eps) * gamma[j];
  let offset = beta[j];
  for (var r = first; r < min(first + ROWS, u.rows); r++) {
    let at = r * c4 + j;
    var v = (vec4f(x[at]) - m) * slope + offset;
    v += vec4f(residual[at]); //#if residual
    v = relu4(v); //#if relu
    v = gelu4(v); //#if gelu
    v = silu4(v); //#if silu
    y[at] = Elem4(v);
  }
}
