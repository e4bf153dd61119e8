// dGamma = Σ dy · x̂ and dBeta = Σ dy over the rows of a part, x̂ = (x − mean) · rstd with the statistics of each row. One invocation per
// four columns and part, rows part, part + parts, …. Sizes c that are multiples of 4.
//#params
alias Elem = f32;
//#end
alias Elem4 = vec4<Elem>;
struct Uniforms { origin: vec3u, rows: u32, c: u32, parts: u32, first: u32 }
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> x: array<Elem4>;                 // [rows, c]
@group(0) @binding(2) var<storage, read> dy: array<Elem4>;                // [rows, c]
@group(0) @binding(3) var<storage, read> mean: array<f32>;                // [rows]
@group(0) @binding(4) var<storage, read> rstd: array<f32>;                // [rows]
@group(0) @binding(5) var<storage, read_write> dGamma: array<vec4f>;      // [parts, c]
@group(0) @binding(6) var<storage, read_write> dBeta: array<vec4f>;       // [parts, c]

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) t: u32) {
  let c4 = u.c / 4u;
  let e = (group.x + u.origin.x) * 64u + t;
  if (e >= u.parts * c4) { return; }
  let j = e % c4;
  var slopes = vec4f(0.0);
  var sums = vec4f(0.0);
  if (u.first > 0u) {
    slopes = dGamma[e];
    sums = dBeta[e];
  }
  for (var r = e / c4; r < u.rows; r += u.parts) {
    let m = mean[r];
    let s = rstd[r];
    let g = vec4f(dy[r * c4 + j]);
    sums += g;
    slopes += g * ((vec4f(x[r * c4 + j]) - m) * s);
  }
  dGamma[e] = slopes;
  dBeta[e] = sums;
}
