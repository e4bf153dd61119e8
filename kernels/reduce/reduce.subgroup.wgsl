// y[o] = scale · Σ x[o, k] over k (or the maximum) for inner = parts = 1: one workgroup, which is one subgroup, for each row.
// Neighbouring lanes read neighbouring elements; the lanes meet once, at the row's end.
enable subgroups;
//#params
alias Elem = f32;
const WIDTH = 8u;
//#end
struct Uniforms { origin: vec3u, outer: u32, r: u32, inner: u32, parts: u32, scale: f32 }
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> x: array<Elem>;            // [outer, r, inner]
@group(0) @binding(2) var<storage, read_write> y: array<Elem>;      // [outer, parts, inner]

@compute @workgroup_size(WIDTH)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) t: u32) {
  let o = group.x + u.origin.x;
  // Lanes beyond a short row repeat its first element where that does no harm, and add nothing.
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
  //#if max
  v = subgroupMax(v);
  //#else
  v = u.scale * subgroupAdd(v);
  //#endif
  if (t == 0u) { y[o] = Elem(v); }
}
