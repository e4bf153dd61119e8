// da = dy factor (a − b), one invocation per element: the readable specification.
//#params
alias Elem = f32;
//#end
struct Uniforms { origin: vec3u, n: u32, factor: f32 }
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> a: array<Elem>;            // [n]
@group(0) @binding(2) var<storage, read> b: array<Elem>;            // [n]
@group(0) @binding(3) var<storage, read> dy: array<f32>;            // [1]
@group(0) @binding(4) var<storage, read_write> da: array<Elem>;     // [n]

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) t: u32) {
  let i = (group.x + u.origin.x) * 64u + t;
  if (i >= u.n) { return; }
  da[i] = Elem(dy[0] * u.factor * (f32(a[i]) - f32(b[i])));
}
