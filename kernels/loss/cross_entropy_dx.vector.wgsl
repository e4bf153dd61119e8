// dlogits = dloss (exp(x − lse) − (1 − s) [j = label] − s / n) where n is a multiple of four, one vector per invocation.
//#params
alias Elem = f32;
//#end
//#use noLabel
alias Elem4 = vec4<Elem>;
struct Uniforms { origin: vec3u, rows: u32, n: u32, smoothing: f32 }
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> logits: array<Elem4>;      // [rows, n]
@group(0) @binding(2) var<storage, read> labels: array<u32>;        // [rows]
@group(0) @binding(3) var<storage, read> lse: array<f32>;           // [rows]
@group(0) @binding(4) var<storage, read> dloss: array<f32>;         // [rows]
@group(0) @binding(5) var<storage, read_write> dlogits: array<Elem4>; // [rows, n]

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) t: u32) {
  let i = (group.x + u.origin.x) * 64u + t;
  let n4 = u.n / 4u;
  if (i >= u.rows * n4) { return; }
  let row = i / n4;
  let columns = vec4u(i % n4 * 4u) + vec4u(0u, 1u, 2u, 3u);
  let label = labels[row];
  let wanted = select(vec4f(0.0), vec4f(1.0 - u.smoothing), columns == vec4u(label)) + u.smoothing / f32(u.n);
  dlogits[i] = Elem4(dloss[row] * (exp(vec4f(logits[i]) - lse[row]) - select(vec4f(noLabel(label)), wanted, label < u.n)));
}
