// dx = y (dy − Σ dy y) along each row, one invocation per row: the readable specification.
//#params
alias Elem = f32;
//#end
struct Uniforms { origin: vec3u, rows: u32, n: u32 }
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> dy: array<Elem>;           // [rows, n]
@group(0) @binding(2) var<storage, read> y: array<Elem>;            // [rows, n]
@group(0) @binding(3) var<storage, read_write> dx: array<Elem>;     // [rows, n]

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) t: u32) {
  let row = (group.x + u.origin.x) * 64u + t;
  if (row >= u.rows) { return; }
  let start = row * u.n;
  var sum = 0.0;
  for (var j = 0u; j < u.n; j++) { sum += f32(dy[start + j]) * f32(y[start + j]); }
  for (var j = 0u; j < u.n; j++) { dx[start + j] = Elem(f32(y[start + j]) * (f32(dy[start + j]) - sum)); }
}
