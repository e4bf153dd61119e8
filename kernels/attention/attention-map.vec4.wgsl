// p_ij = exp(scale q_i · k_j − lse_i): the attention map, for looking at; one invocation per element, four
// columns at a time. Sizes d that are multiples of 4.
//#params
alias Elem = f32;
//#end
alias Elem4 = vec4<Elem>;
struct Uniforms { origin: vec3u, b: u32, h: u32, n: u32, m: u32, d: u32, scale: f32 }
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> q: array<Elem4>;           // [b, n, h, d]
@group(0) @binding(2) var<storage, read> k: array<Elem4>;           // [b, m, h, d]
@group(0) @binding(3) var<storage, read> lse: array<f32>;           // [b, h, n]
@group(0) @binding(4) var<storage, read_write> p: array<f32>;       // [b, h, n, m]

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) t: u32) {
  let wg = group + u.origin;
  let j = wg.x * 64u + t;
  let i = wg.y;
  let z = wg.z / u.h;
  let y = wg.z % u.h;
  if (j >= u.m) { return; }
  let atQ = ((z * u.n + i) * u.h + y) * (u.d / 4u);
  let atK = ((z * u.m + j) * u.h + y) * (u.d / 4u);
  var s = 0.0;
  for (var c = 0u; c < u.d / 4u; c++) { s += dot(vec4f(q[atQ + c]), vec4f(k[atK + c])); }
  let row = wg.z * u.n + i;
  p[row * u.m + j] = exp(s * u.scale - lse[row]);
}
