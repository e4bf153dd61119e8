// y = x, one invocation per element.
//#params
alias Elem = f32;
//#end
struct Uniforms { origin: vec3u, n: u32 }
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> x: array<Elem>;            // [n]
@group(0) @binding(2) var<storage, read_write> y: array<Elem>;      // [n]

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) t: u32) {
  let i = (group.x + u.origin.x) * 256u + t;
  if (i < u.n) { y[i] = x[i]; }
}
