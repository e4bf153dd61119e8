// y[o, p, j] = scale · Σ x[o, p + k·parts, j] over k (or the maximum), one invocation per element: the readable specification.
//#params
alias Elem = f32;
//#end
struct Uniforms { origin: vec3u, outer: u32, r: u32, inner: u32, parts: u32, scale: f32 }
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> x: array<Elem>;            // [outer, r, inner]
@group(0) @binding(2) var<storage, read_write> y: array<Elem>;      // [outer, parts, inner]

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) t: u32) {
  let i = (group.x + u.origin.x) * 64u + t;
  // Rows p and p + parts of a block lie parts·inner elements apart: a part and a column are one coordinate.
  let columns = u.parts * u.inner;
  if (i >= u.outer * columns) { return; }
  let o = i / columns;
  let first = o * u.r * u.inner + i % columns;
  let end = (o + 1u) * u.r * u.inner;
  var v = f32(x[first]);
  for (var at = first + columns; at < end; at += columns) {
    //#if max
    v = max(v, f32(x[at]));
    //#else
    v += f32(x[at]);
    //#endif
  }
  v *= u.scale;                                                     //#if !max
  y[i] = Elem(v);
}
