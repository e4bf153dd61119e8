// y = (x − mean) · rstd · gamma + beta for each row: a workgroup per row, its sums in trees of fixed shape. Mean first, then variance.
//#params
alias Elem = f32;
const WIDTH = 128u;
//#end
//#use total
struct Uniforms { origin: vec3u, rows: u32, c: u32, eps: f32 }
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> x: array<Elem>;                  // [rows, c]
@group(0) @binding(2) var<storage, read> gamma: array<f32>;               // [c]
@group(0) @binding(3) var<storage, read> beta: array<f32>;                // [c]
@group(0) @binding(4) var<storage, read_write> y: array<Elem>;            // [rows, c]
@group(0) @binding(5) var<storage, read_write> mean: array<f32>;          // [rows]
@group(0) @binding(6) var<storage, read_write> rstd: array<f32>;          // [rows]

@compute @workgroup_size(WIDTH)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) t: u32) {
  let r = group.x + u.origin.x;
  let at = r * u.c;
  var part = 0.0;
  for (var j = t; j < u.c; j += WIDTH) { part += f32(x[at + j]); }
  let m = total(part, t) / f32(u.c);
  part = 0.0;
  for (var j = t; j < u.c; j += WIDTH) {
    let d = f32(x[at + j]) - m;
    part += d * d;
  }
  let s = inverseSqrt(total(part, t) / f32(u.c) + u.eps);
  for (var j = t; j < u.c; j += WIDTH) { y[at + j] = Elem((f32(x[at + j]) - m) * s * gamma[j] + beta[j]); }
  if (t == 0u) {
    mean[r] = m;
    rstd[r] = s;
  }
}
