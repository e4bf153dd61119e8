// y[p] = Σ (a − b)² over the elements p, p + parts, p + 2 parts, …: one invocation per part, the readable specification.
//#params
alias Elem = f32;
//#end
struct Uniforms { origin: vec3u, n: u32, parts: u32 }
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> a: array<Elem>;            // [n]
@group(0) @binding(2) var<storage, read> b: array<Elem>;            // [n]
@group(0) @binding(3) var<storage, read_write> y: array<f32>;       // [parts]

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) t: u32) {
  let part = (group.x + u.origin.x) * 64u + t;
  if (part >= u.parts) { return; }
  var sum = 0.0;
  for (var i = part; i < u.n; i += u.parts) {
    let d = f32(a[i]) - f32(b[i]);
    sum += d * d;
  }
  y[part] = sum;
}
