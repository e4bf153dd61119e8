// dx = rstd (g − mean(g) − x̂ mean(g x̂)) for each row, with g = dy · gamma and x̂ = (x − mean) · rstd: a lane per row, four columns at
// a time. Sizes c that are multiples of 4.
//#params
alias Elem = f32;
//#end
alias Elem4 = vec4<Elem>;
struct Uniforms { origin: vec3u, rows: u32, c: u32 }
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> x: array<Elem4>;                 // [rows, c]
@group(0) @binding(2) var<storage, read> dy: array<Elem4>;                // [rows, c]
@group(0) @binding(3) var<storage, read> gamma: array<vec4f>;             // [c]
@group(0) @binding(4) var<storage, read> mean: array<f32>;                // [rows]
@group(0) @binding(5) var<storage, read> rstd: array<f32>;                // [rows]
@group(0) @binding(6) var<storage, read_write> dx: array<Elem4>;          // [rows, c]

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) t: u32) {
  let r = (group.x + u.origin.x) * 64u + t;
  if (r >= u.rows) { return; }
  let c4 = u.c / 4u;
  let at = r * c4;
  let m = mean[r];
  let s = rstd[r];
  var sumG = vec4f(0.0);
  var sumGx = vec4f(0.0);
  for (var j = 0u; j < c4; j++) {
    let g = vec4f(dy[at + j]) * gamma[j];
    sumG += g;
    sumGx += g * ((vec4f(x[at + j]) - m) * s);
  }
  let meanG = dot(sumG, vec4f(1.0)) / f32(u.c);
  let meanGx = dot(sumGx, vec4f(1.0)) / f32(u.c);
  for (var j = 0u; j < c4; j++) {
    let g = vec4f(dy[at + j]) * gamma[j];
    dx[at + j] = Elem4(s * (g - meanG - (vec4f(x[at + j]) - m) * (s * meanGx)));
  }
}
