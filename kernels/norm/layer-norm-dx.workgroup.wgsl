// dx = rstd (g − mean(g) − x̂ mean(g x̂)) for each row, with g = dy · gamma and x̂ = (x − mean) · rstd: a workgroup per row.
//#params
alias Elem = f32;
const WIDTH = 128u;
//#end
//#use total
struct Uniforms { origin: vec3u, rows: u32, c: u32 }
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> x: array<Elem>;                  // [rows, c]
@group(0) @binding(2) var<storage, read> dy: array<Elem>;                 // [rows, c]
@group(0) @binding(3) var<storage, read> gamma: array<f32>;               // [c]
@group(0) @binding(4) var<storage, read> mean: array<f32>;                // [rows]
@group(0) @binding(5) var<storage, read> rstd: array<f32>;                // [rows]
@group(0) @binding(6) var<storage, read_write> dx: array<Elem>;           // [rows, c]

@compute @workgroup_size(WIDTH)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) t: u32) {
  let r = group.x + u.origin.x;
  let at = r * u.c;
  let m = mean[r];
  let s = rstd[r];
  var partG = 0.0;
  var partGx = 0.0;
  for (var j = t; j < u.c; j += WIDTH) {
    let g = f32(dy[at + j]) * gamma[j];
    partG += g;
    partGx += g * ((f32(x[at + j]) - m) * s);
  }
  let meanG = total(partG, t) / f32(u.c);
  let meanGx = total(partGx, t) / f32(u.c);
  for (var j = t; j < u.c; j += WIDTH) {
    let g = f32(dy[at + j]) * gamma[j];
    dx[at + j] = Elem(s * (g - meanG - (f32(x[at + j]) - m) * (s * meanGx)));
  }
}
