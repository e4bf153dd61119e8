// y = exp(x − max x) / Σ exp(x − max x) along each row, one invocation per row: the readable specification.
//#params
alias Elem = f32;
//#end
struct Uniforms { origin: vec3u, rows: u32, n: u32 }
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> x: array<Elem>;            // [rows, n]
@group(0) @binding(2) var<storage, read_write> y: array<Elem>;      // [rows, n]

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) t: u32) {
  let row = (group.x + u.origin.x) * 64u + t;
  if (row >= u.rows) { return; }
  let start = row * u.n;
  var top = f32(x[start]);
  for (var j = 1u; j < u.n; j++) { top = max(top, f32(x[start + j])); }
  var sum = 0.0;
  for (var j = 0u; j < u.n; j++) { sum += exp(f32(x[start + j]) - top); }
  for (var j = 0u; j < u.n; j++) { y[start + j] = Elem(exp(f32(x[start + j]) - top) / sum); }
}
