// loss = lse − (1 − s) x[label] − s mean x: one workgroup for each row; one pass over it, joined by a tree.
//#params
alias Elem = f32;
const WIDTH = 64u;
//#end
//#use online
//#use noLabel
struct Uniforms { origin: vec3u, rows: u32, n: u32, smoothing: f32 }
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> logits: array<Elem>;       // [rows, n]
@group(0) @binding(2) var<storage, read> labels: array<u32>;        // [rows]
@group(0) @binding(3) var<storage, read_write> loss: array<f32>;    // [rows]
@group(0) @binding(4) var<storage, read_write> lse: array<f32>;     // [rows]
var<workgroup> tree: array<Online, WIDTH>;
var<workgroup> totals: array<f32, WIDTH>;

@compute @workgroup_size(WIDTH)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) t: u32) {
  let row = group.x + u.origin.x;
  let start = row * u.n;
  // A lane beyond a short row begins with an element that is there and counts for nothing.
  let first = f32(logits[start + select(0u, t, t < u.n)]);
  var own = Online(first, select(0.0, 1.0, t < u.n));
  var total = select(0.0, first, t < u.n);
  for (var j = t + WIDTH; j < u.n; j += WIDTH) {
    let x = f32(logits[start + j]);
    own = joinOnline(own, Online(x, 1.0));
    total += x;
  }
  tree[t] = own;
  totals[t] = total;
  for (var half = WIDTH / 2u; half > 0u; half /= 2u) {
    workgroupBarrier();                                             // the lower half reads what the upper one wrote
    if (t < half) {
      tree[t] = joinOnline(tree[t], tree[t + half]);
      totals[t] += totals[t + half];
    }
  }
  if (t == 0u) {
    let value = tree[0].top + log(tree[0].sum);
    lse[row] = value;
    let label = labels[row];
    loss[row] = noLabel(label);
    if (label < u.n) { loss[row] = value - (1.0 - u.smoothing) * f32(logits[start + label]) - u.smoothing * totals[0] / f32(u.n); }
  }
}
