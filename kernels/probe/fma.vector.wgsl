// Eight independent chains of multiply-adds on vectors per invocation: the same work as two chains of the naive form each.
//#params
alias Elem = f32;
//#end
alias Elem4 = vec4<Elem>;
struct Uniforms { origin: vec3u, n: u32, steps: u32 }
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> x: array<Elem4>;           // [n]
@group(0) @binding(2) var<storage, read_write> y: array<Elem4>;     // [n]

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) t: u32) {
  let i = (group.x + u.origin.x) * 64u + t;
  if (i >= u.n / 4u) { return; }
  let d = vec4f(x[i]);
  let half = vec4f(0.5);
  var s0 = d;
  var s1 = d + 1.0;
  var s2 = d + 2.0;
  var s3 = d + 3.0;
  var s4 = d + 4.0;
  var s5 = d + 5.0;
  var s6 = d + 6.0;
  var s7 = d + 7.0;
  for (var step = 0u; step < u.steps; step++) {
    s0 = fma(s0, half, d);
    s1 = fma(s1, half, d);
    s2 = fma(s2, half, d);
    s3 = fma(s3, half, d);
    s4 = fma(s4, half, d);
    s5 = fma(s5, half, d);
    s6 = fma(s6, half, d);
    s7 = fma(s7, half, d);
  }
  y[i] = Elem4(((s0 + s1) + (s2 + s3)) + ((s4 + s5) + (s6 + s7)));
}
