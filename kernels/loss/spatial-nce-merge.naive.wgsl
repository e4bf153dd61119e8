// log-sum-exp, mass, loss and entropy of every row from the parts of its columns, joined in their order; one invocation per row.
//#params
alias Elem = f32;
//#end
//#use nceRow
struct Uniforms { origin: vec3u, splits: u32, n: u32 }
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> parts: array<f32>;            // [splits, 5, n]
@group(0) @binding(2) var<storage, read_write> lse: array<f32>;        // [n]
@group(0) @binding(3) var<storage, read_write> mass: array<f32>;       // [n]
@group(0) @binding(4) var<storage, read_write> loss: array<f32>;       // [n]
@group(0) @binding(5) var<storage, read_write> entropy: array<f32>;    // [n]

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) t: u32) {
  let i = (group.x + u.origin.x) * 64u + t;
  if (i >= u.n) { return; }
  var row = Row(NOTHING, 0.0, 0.0, 0.0, 0.0);
  for (var part = 0u; part < u.splits; part++) {
    let at = 5u * part * u.n + i;
    let total = parts[at + u.n];
    let top = select(NOTHING, parts[at], total > 0.0);
    row = joinRows(row, Row(top, total, parts[at + 2u * u.n], parts[at + 3u * u.n], parts[at + 4u * u.n]));
  }
  let result = finishRow(row);
  lse[i] = result.x;
  mass[i] = result.y;
  loss[i] = result.z;
  entropy[i] = result.w;
}
