// dx = gamma · s · dy with s = 1/√(variance + eps); where the statistics are the batch's own (`batch`), dx = gamma · s · (dy − dBeta/total −
// x̂ dGamma/total). One invocation per four columns of ROWS rows. Sizes c that are multiples of 4.
//#params
alias Elem = f32;
const ROWS = 16u;
//#end
alias Elem4 = vec4<Elem>;
struct Uniforms { origin: vec3u, rows: u32, c: u32, total: u32, eps: f32 }
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> dy: array<Elem4>;                // [rows, c]
@group(0) @binding(2) var<storage, read> variance: array<vec4f>;          // [c]
@group(0) @binding(3) var<storage, read> gamma: array<vec4f>;             // [c]
@group(0) @binding(4) var<storage, read_write> dx: array<Elem4>;          // [rows, c]
@group(0) @binding(5) var<storage, read> x: array<Elem4>;                 // [rows, c] //#if batch
@group(0) @binding(6) var<storage, read> mean: array<vec4f>;              // [c] //#if batch
@group(0) @binding(7) var<storage, read> dGamma: array<vec4f>;            // [c] //#if batch
@group(0) @binding(8) var<storage, read> dBeta: array<vec4f>;             // [c] //#if batch

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) t: u32) {
  let c4 = u.c / 4u;
  let e = (group.x + u.origin.x) * 64u + t;
  let first = (e / c4) * ROWS;
  if (first >= u.rows) { return; }
  let j = e % c4;
  let s = inverseSqrt(variance[j] + u.eps);
  let slope = s * gamma[j];
  let m = mean[j]; //#if batch
  let perX = dGamma[j] * s / f32(u.total); //#if batch
  let perRow = dBeta[j] / f32(u.total); //#if batch
  for (var r = first; r < min(first + ROWS, u.rows); r++) {
    let at = r * c4 + j;
    var g = vec4f(dy[at]);
    g -= perRow + (vec4f(x[at]) - m) * perX; //#if batch
    dx[at] = Elem4(g * slope);
  }
}
