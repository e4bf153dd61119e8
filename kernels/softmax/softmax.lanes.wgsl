// y = softmax(x) along each row: one invocation per row, four elements at a time. No invocation waits for another, and stores
// are whole vectors: best on processors.
//#params
alias Elem = f32;
//#end
alias Elem4 = vec4<Elem>;
struct Uniforms { origin: vec3u, rows: u32, n: u32 }
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> x: array<Elem4>;           // [rows, n]
@group(0) @binding(2) var<storage, read_write> y: array<Elem4>;     // [rows, n]

@compute @workgroup_size(16)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) t: u32) {
  let row = (group.x + u.origin.x) * 16u + t;
  if (row >= u.rows) { return; }
  let start = row * (u.n / 4u);
  let end = start + u.n / 4u;
  var tops = vec4f(x[start]);
  for (var at = start + 1u; at < end; at++) { tops = max(tops, vec4f(x[at])); }
  let top = max(max(tops.x, tops.y), max(tops.z, tops.w));
  var sums = vec4f(0.0);
  for (var at = start; at < end; at++) { sums += exp(vec4f(x[at]) - top); }
  let scale = 1.0 / (sums.x + sums.y + sums.z + sums.w);
  for (var at = start; at < end; at++) { y[at] = Elem4(exp(vec4f(x[at]) - top) * scale); }
}
