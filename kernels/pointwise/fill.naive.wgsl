// y = value, one invocation per element.
//#params
alias Elem = f32;
//#end
struct Uniforms { origin: vec3u, n: u32, value: f32 }
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read_write> y: array<Elem>;      // [n]

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) t: u32) {
  let i = (group.x + u.origin.x) * 64u + t;
  if (i >= u.n) { return; }
  y[i] = Elem(u.value);
}
