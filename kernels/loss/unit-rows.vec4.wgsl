// y_i = x_i · inverse_i with inverse_i = 1 / |x_i|, or 0 for a row of zeros; one invocation per row, four components at a time.
//#params
alias Elem = f32;
const LANES = 32u;
//#end
alias Elem4 = vec4<Elem>;
struct Uniforms { origin: vec3u, n: u32, d: u32 }
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> x: array<Elem4>;              // [n, d]
@group(0) @binding(2) var<storage, read_write> y: array<Elem4>;        // [n, d]
@group(0) @binding(3) var<storage, read_write> inverse: array<f32>;    // [n]

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) t: u32) {
  let i = (group.x + u.origin.x) * LANES + t;
  if (i >= u.n) { return; }
  let width = u.d / 4u;
  var parts = vec4f(0.0);
  for (var k = 0u; k < width; k++) {
    let v = vec4f(x[i * width + k]);
    parts += v * v;
  }
  let squares = (parts.x + parts.y) + (parts.z + parts.w);
  let r = select(0.0, inverseSqrt(max(squares, 1e-30)), squares > 1e-30);
  inverse[i] = r;
  for (var k = 0u; k < width; k++) { y[i * width + k] = Elem4(vec4f(x[i * width + k]) * r); }
}
