// loss = lse − (1 − s) x[label] − s mean x with lse = log Σ exp x, smoothing s; one invocation per row: the readable specification.
//#params
alias Elem = f32;
//#end
//#use noLabel
struct Uniforms { origin: vec3u, rows: u32, n: u32, smoothing: f32 }
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> logits: array<Elem>;       // [rows, n]
@group(0) @binding(2) var<storage, read> labels: array<u32>;        // [rows]
@group(0) @binding(3) var<storage, read_write> loss: array<f32>;    // [rows]
@group(0) @binding(4) var<storage, read_write> lse: array<f32>;     // [rows]

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) t: u32) {
  let row = (group.x + u.origin.x) * 64u + t;
  if (row >= u.rows) { return; }
  let start = row * u.n;
  var top = f32(logits[start]);
  for (var j = 1u; j < u.n; j++) { top = max(top, f32(logits[start + j])); }
  var sum = 0.0;
  var total = 0.0;
  for (var j = 0u; j < u.n; j++) {
    let x = f32(logits[start + j]);
    sum += exp(x - top);
    total += x;
  }
  lse[row] = top + log(sum);
  let label = labels[row];
  loss[row] = noLabel(label);
  if (label < u.n) { loss[row] = top + log(sum) - (1.0 - u.smoothing) * f32(logits[start + label]) - u.smoothing * total / f32(u.n); }
}
