// y = (x − mean) · rstd · gamma + beta for each row: a lane per row, four columns at a time. The statistics take one pass by Welford's
// recurrence on four interleaved parts of the row, merged by Chan's formula. Sizes c that are multiples of 4.
//#params
alias Elem = f32;
//#end
alias Elem4 = vec4<Elem>;
struct Uniforms { origin: vec3u, rows: u32, c: u32, eps: f32 }
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> x: array<Elem4>;                 // [rows, c]
@group(0) @binding(2) var<storage, read> gamma: array<vec4f>;             // [c]
@group(0) @binding(3) var<storage, read> beta: array<vec4f>;              // [c]
@group(0) @binding(4) var<storage, read_write> y: array<Elem4>;           // [rows, c]
@group(0) @binding(5) var<storage, read_write> mean: array<f32>;          // [rows]
@group(0) @binding(6) var<storage, read_write> rstd: array<f32>;          // [rows]

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) t: u32) {
  let r = (group.x + u.origin.x) * 64u + t;
  if (r >= u.rows) { return; }
  let c4 = u.c / 4u;
  let at = r * c4;
  var means = vec4f(0.0);
  var squares = vec4f(0.0);
  for (var j = 0u; j < c4; j++) {
    let v = vec4f(x[at + j]);
    let d = v - means;
    means += d * (1.0 / f32(j + 1u));
    squares += d * (v - means);
  }
  let m = 0.25 * ((means.x + means.y) + (means.z + means.w));
  let apart = means - m;
  let variance = dot(squares, vec4f(1.0 / f32(u.c))) + 0.25 * dot(apart, apart);
  let s = inverseSqrt(variance + u.eps);
  for (var j = 0u; j < c4; j++) { y[at + j] = Elem4((vec4f(x[at + j]) - m) * s * gamma[j] + beta[j]); }
  mean[r] = m;
  rstd[r] = s;
}
