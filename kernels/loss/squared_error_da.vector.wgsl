// da = dy factor (a − b), four neighbouring elements in each of ROWS rows per invocation.
//#params
alias Elem = f32;
const ROWS = 4u;
//#end
alias Elem4 = vec4<Elem>;
struct Uniforms { origin: vec3u, n: u32, factor: f32 }
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> a: array<Elem4>;           // [n]
@group(0) @binding(2) var<storage, read> b: array<Elem4>;           // [n]
@group(0) @binding(3) var<storage, read> dy: array<f32>;            // [1]
@group(0) @binding(4) var<storage, read_write> da: array<Elem4>;    // [n]

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) t: u32) {
  let width = (u.n / 4u + ROWS - 1u) / ROWS;
  let column = (group.x + u.origin.x) * 64u + t;
  if (column >= width) { return; }
  let f = dy[0] * u.factor;
  for (var i = column; i < u.n / 4u; i += width) { da[i] = Elem4(f * (vec4f(a[i]) - vec4f(b[i]))); }
}
