// y = softmax(x) along each row: one workgroup for each row; maximum and sum in one pass, joined by a tree.
//#params
alias Elem = f32;
const WIDTH = 64u;
//#end
//#use online
struct Uniforms { origin: vec3u, rows: u32, n: u32 }
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> x: array<Elem>;            // [rows, n]
@group(0) @binding(2) var<storage, read_write> y: array<Elem>;      // [rows, n]
var<workgroup> tree: array<Online, WIDTH>;

@compute @workgroup_size(WIDTH)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) t: u32) {
  let row = group.x + u.origin.x;
  let start = row * u.n;
  // A lane beyond a short row begins with an element that is there and counts for nothing.
  var own = Online(f32(x[start + select(0u, t, t < u.n)]), select(0.0, 1.0, t < u.n));
  for (var j = t + WIDTH; j < u.n; j += WIDTH) { own = joinOnline(own, Online(f32(x[start + j]), 1.0)); }
  tree[t] = own;
  for (var half = WIDTH / 2u; half > 0u; half /= 2u) {
    workgroupBarrier();                                             // the lower half reads what the upper one wrote
    if (t < half) { tree[t] = joinOnline(tree[t], tree[t + half]); }
  }
  workgroupBarrier();                                               // all read what the first wrote
  let total = tree[0];
  for (var j = t; j < u.n; j += WIDTH) { y[start + j] = Elem(exp(f32(x[start + j]) - total.top) / total.sum); }
}
