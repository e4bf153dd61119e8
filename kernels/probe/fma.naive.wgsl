// Eight independent chains of multiply-adds per invocation: what the arithmetic units reach when nothing else holds them up.
//#params
alias Elem = f32;
//#end
struct Uniforms { origin: vec3u, n: u32, steps: u32 }
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> x: array<Elem>;            // [n]
@group(0) @binding(2) var<storage, read_write> y: array<Elem>;      // [n]

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) t: u32) {
  let i = (group.x + u.origin.x) * 64u + t;
  if (i >= u.n) { return; }
  let d = f32(x[i]);
  var s0 = d;
  var s1 = d + 1.0;
  var s2 = d + 2.0;
  var s3 = d + 3.0;
  var s4 = d + 4.0;
  var s5 = d + 5.0;
  var s6 = d + 6.0;
  var s7 = d + 7.0;
  for (var step = 0u; step < u.steps; step++) {
    s0 = fma(s0, 0.5, d);
    s1 = fma(s1, 0.5, d);
    s2 = fma(s2, 0.5, d);
    s3 = fma(s3, 0.5, d);
    s4 = fma(s4, 0.5, d);
    s5 = fma(s5, 0.5, d);
    s6 = fma(s6, 0.5, d);
    s7 = fma(s7, 0.5, d);
  }
  y[i] = Elem(((s0 + s1) + (s2 + s3)) + ((s4 + s5) + (s6 + s7)));
}
