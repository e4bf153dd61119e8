// dx = y (dy − Σ dy y) along each row: one invocation per row, four elements at a time. Best on processors.
//#params
alias Elem = f32;
//#end
alias Elem4 = vec4<Elem>;
struct Uniforms { origin: vec3u, rows: u32, n: u32 }
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> dy: array<Elem4>;          // [rows, n]
@group(0) @binding(2) var<storage, read> y: array<Elem4>;           // [rows, n]
@group(0) @binding(3) var<storage, read_write> dx: array<Elem4>;    // [rows, n]

@compute @workgroup_size(16)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) t: u32) {
  let row = (group.x + u.origin.x) * 16u + t;
  if (row >= u.rows) { return; }
  let start = row * (u.n / 4u);
  let end = start + u.n / 4u;
  var sums = vec4f(0.0);
  for (var at = start; at < end; at++) { sums += vec4f(dy[at]) * vec4f(y[at]); }
  let sum = sums.x + sums.y + sums.z + sums.w;
  for (var at = start; at < end; at++) { dx[at] = Elem4(vec4f(y[at]) * (vec4f(dy[at]) - sum)); }
}
