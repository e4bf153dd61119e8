// y[o, p, j] = scale · Σ x[o, p + k·parts, j] over k (or the maximum): one invocation for four neighbouring columns (p, j),
// sixteen bytes at a time, four rows in flight. No workgroup memory: best wherever there are columns enough.
//#params
alias Elem = f32;
//#end
alias Elem4 = vec4<Elem>;
struct Uniforms { origin: vec3u, outer: u32, r: u32, inner: u32, parts: u32, scale: f32 }
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> x: array<Elem4>;           // [outer, r, inner]
@group(0) @binding(2) var<storage, read_write> y: array<Elem4>;     // [outer, parts, inner]

fn merge(v: vec4f, w: vec4f) -> vec4f {
  //#if max
  return max(v, w);
  //#else
  return v + w;
  //#endif
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) t: u32) {
  let i = (group.x + u.origin.x) * 64u + t;
  let columns = u.parts * u.inner / 4u;
  if (i >= u.outer * columns) { return; }
  let o = i / columns;
  let first = o * (u.r * u.inner / 4u) + i % columns;
  let end = (o + 1u) * (u.r * u.inner / 4u);
  var v0 = vec4f(x[first]);
  var at = first + columns;
  if (at + 2u * columns < end) {
    var v1 = vec4f(x[at]);
    var v2 = vec4f(x[at + columns]);
    var v3 = vec4f(x[at + 2u * columns]);
    at += 3u * columns;
    for (; at + 3u * columns < end; at += 4u * columns) {
      v0 = merge(v0, vec4f(x[at]));
      v1 = merge(v1, vec4f(x[at + columns]));
      v2 = merge(v2, vec4f(x[at + 2u * columns]));
      v3 = merge(v3, vec4f(x[at + 3u * columns]));
    }
    v0 = merge(merge(v0, v1), merge(v2, v3));
  }
  for (; at < end; at += columns) { v0 = merge(v0, vec4f(x[at])); }
  v0 *= u.scale;                                                    //#if !max
  y[i] = Elem4(v0);
}
