// y = (x − mean) · rstd · gamma + beta for each row, rstd = 1/√(variance + eps); one invocation per row: mean, then variance, then y.
//#params
alias Elem = f32;
//#end
struct Uniforms { origin: vec3u, rows: u32, c: u32, eps: f32 }
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> x: array<Elem>;                  // [rows, c]
@group(0) @binding(2) var<storage, read> gamma: array<f32>;               // [c]
@group(0) @binding(3) var<storage, read> beta: array<f32>;                // [c]
@group(0) @binding(4) var<storage, read_write> y: array<Elem>;            // [rows, c]
@group(0) @binding(5) var<storage, read_write> mean: array<f32>;          // [rows]
@group(0) @binding(6) var<storage, read_write> rstd: array<f32>;          // [rows]

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) t: u32) {
  let r = (group.x + u.origin.x) * 64u + t;
  if (r >= u.rows) { return; }
  let at = r * u.c;
  var m = 0.0;
  for (var j = 0u; j < u.c; j++) { m += f32(x[at + j]); }
  m /= f32(u.c);
  var squares = 0.0;
  for (var j = 0u; j < u.c; j++) {
    let d = f32(x[at + j]) - m;
    squares += d * d;
  }
  let s = inverseSqrt(squares / f32(u.c) + u.eps);
  for (var j = 0u; j < u.c; j++) { y[at + j] = Elem((f32(x[at + j]) - m) * s * gamma[j] + beta[j]); }
  mean[r] = m;
  rstd[r] = s;
}
