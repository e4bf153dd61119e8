// y = x, four vectors of four elements per invocation, those of neighbours side by side.
//#params
alias Elem = f32;
//#end
alias Elem4 = vec4<Elem>;
struct Uniforms { origin: vec3u, n: u32 }
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> x: array<Elem4>;           // [n]
@group(0) @binding(2) var<storage, read_write> y: array<Elem4>;     // [n]

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) t: u32) {
  let i = (group.x + u.origin.x) * 1024u + t;
  let n4 = u.n / 4u;
  for (var r = 0u; r < 4u; r++) {
    let at = i + 256u * r;
    if (at < n4) { y[at] = x[at]; }
  }
}
