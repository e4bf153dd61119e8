// y_i = x_i · inverse_i with inverse_i = 1 / |x_i|, or 0 for a row of zeros; one invocation per row: the readable specification.
//#params
alias Elem = f32;
//#end
struct Uniforms { origin: vec3u, n: u32, d: u32 }
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> x: array<Elem>;               // [n, d]
@group(0) @binding(2) var<storage, read_write> y: array<Elem>;         // [n, d]
@group(0) @binding(3) var<storage, read_write> inverse: array<f32>;    // [n]

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) t: u32) {
  let i = (group.x + u.origin.x) * 64u + t;
  if (i >= u.n) { return; }
  var squares = 0.0;
  for (var k = 0u; k < u.d; k++) {
    let v = f32(x[i * u.d + k]);
    squares += v * v;
  }
  let r = select(0.0, inverseSqrt(max(squares, 1e-30)), squares > 1e-30);
  inverse[i] = r;
  for (var k = 0u; k < u.d; k++) { y[i * u.d + k] = Elem(f32(x[i * u.d + k]) * r); }
}
