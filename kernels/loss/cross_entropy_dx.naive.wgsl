// dlogits = dloss (exp(x − lse) − (1 − s) [j = label] − s / n), one invocation per element: the readable specification.
//#params
alias Elem = f32;
//#end
//#use noLabel
struct Uniforms { origin: vec3u, rows: u32, n: u32, smoothing: f32 }
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> logits: array<Elem>;       // [rows, n]
@group(0) @binding(2) var<storage, read> labels: array<u32>;        // [rows]
@group(0) @binding(3) var<storage, read> lse: array<f32>;           // [rows]
@group(0) @binding(4) var<storage, read> dloss: array<f32>;         // [rows]
@group(0) @binding(5) var<storage, read_write> dlogits: array<Elem>; // [rows, n]

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) t: u32) {
  let i = (group.x + u.origin.x) * 64u + t;
  if (i >= u.rows * u.n) { return; }
  let row = i / u.n;
  let label = labels[row];
  let wanted = select(0.0, 1.0 - u.smoothing, i % u.n == label) + u.smoothing / f32(u.n);
  dlogits[i] = Elem(dloss[row] * (exp(f32(logits[i]) - lse[row]) - select(noLabel(label), wanted, label < u.n)));
}
