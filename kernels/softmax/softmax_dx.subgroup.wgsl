// dx = y (dy − Σ dy y) along each row: one workgroup, which is one subgroup, for each row.
enable subgroups;
//#params
alias Elem = f32;
const WIDTH = 8u;
//#end
struct Uniforms { origin: vec3u, rows: u32, n: u32 }
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> dy: array<Elem>;           // [rows, n]
@group(0) @binding(2) var<storage, read> y: array<Elem>;            // [rows, n]
@group(0) @binding(3) var<storage, read_write> dx: array<Elem>;     // [rows, n]

@compute @workgroup_size(WIDTH)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) t: u32) {
  let row = group.x + u.origin.x;
  let start = row * u.n;
  var own = 0.0;
  for (var j = t; j < u.n; j += WIDTH) { own += f32(dy[start + j]) * f32(y[start + j]); }
  let sum = subgroupAdd(own);
  for (var j = t; j < u.n; j += WIDTH) { dx[start + j] = Elem(f32(y[start + j]) * (f32(dy[start + j]) - sum)); }
}
