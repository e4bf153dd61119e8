// y[p] = Σ (a − b)² over the elements p, p + parts, p + 2 parts, …: four neighbouring parts per invocation, a vector at a time.
//#params
alias Elem = f32;
//#end
alias Elem4 = vec4<Elem>;
struct Uniforms { origin: vec3u, n: u32, parts: u32 }
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> a: array<Elem4>;           // [n]
@group(0) @binding(2) var<storage, read> b: array<Elem4>;           // [n]
@group(0) @binding(3) var<storage, read_write> y: array<vec4f>;     // [parts]

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) t: u32) {
  let part = (group.x + u.origin.x) * 64u + t;
  if (part >= u.parts / 4u) { return; }
  var sum = vec4f(0.0);
  for (var i = part; i < u.n / 4u; i += u.parts / 4u) {
    let d = vec4f(a[i]) - vec4f(b[i]);
    sum += d * d;
  }
  y[part] = sum;
}
