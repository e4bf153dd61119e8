// y[o] = scale · Σ x[o, k] over k (or the maximum) for inner = parts = 1: one workgroup for each row, a tree in workgroup memory.
//#params
alias Elem = f32;
const WIDTH = 64u;
//#end
struct Uniforms { origin: vec3u, outer: u32, r: u32, inner: u32, parts: u32, scale: f32 }
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> x: array<Elem>;            // [outer, r, inner]
@group(0) @binding(2) var<storage, read_write> y: array<Elem>;      // [outer, parts, inner]
var<workgroup> tree: array<f32, WIDTH>;

@compute @workgroup_size(WIDTH)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) t: u32) {
  let o = group.x + u.origin.x;
  var v = f32(x[o * u.r + select(0u, t, t < u.r)]);
  v = select(0.0, v, t < u.r);                                      //#if !max
  for (var k = t + WIDTH; k < u.r; k += WIDTH) {
    let next = f32(x[o * u.r + k]);
    //#if max
    v = max(v, next);
    //#else
    v += next;
    //#endif
  }
  tree[t] = v;
  for (var half = WIDTH / 2u; half > 0u; half /= 2u) {
    workgroupBarrier();                                             // the lower half reads what the upper one wrote
    if (t < half) {
      //#if max
      tree[t] = max(tree[t], tree[t + half]);
      //#else
      tree[t] += tree[t + half];
      //#endif
    }
  }
  if (t == 0u) {
    v = tree[0];
    v *= u.scale;                                                   //#if !max
    y[o] = Elem(v);
  }
}
