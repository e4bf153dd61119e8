// dx[o, k, j] = dy[o, j] at the first k where x is the maximum y, else 0: one invocation for four neighbouring columns j.
//#params
alias Elem = f32;
//#end
alias Elem4 = vec4<Elem>;
struct Uniforms { origin: vec3u, outer: u32, r: u32, inner: u32 }
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> x: array<Elem4>;           // [outer, r, inner]
@group(0) @binding(2) var<storage, read> y: array<Elem4>;           // [outer, inner]
@group(0) @binding(3) var<storage, read> dy: array<Elem4>;          // [outer, inner]
@group(0) @binding(4) var<storage, read_write> dx: array<Elem4>;    // [outer, r, inner]

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) t: u32) {
  let i = (group.x + u.origin.x) * 64u + t;
  let inner = u.inner / 4u;
  if (i >= u.outer * inner) { return; }
  let top = y[i];
  var left = dy[i];
  var at = i / inner * u.r * inner + i % inner;
  for (var k = 0u; k < u.r; k++) {
    let here = x[at] == top;
    dx[at] = select(Elem4(0.0), left, here);
    left = select(left, Elem4(0.0), here);
    at += inner;
  }
}
