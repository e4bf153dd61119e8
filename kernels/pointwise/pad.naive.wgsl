// y = x surrounded by zeros, one invocation per element of y: the readable specification.
//#params
alias Elem = f32;
//#end
struct Uniforms {
  origin: vec3u,
  d0: u32, d1: u32, d2: u32, d3: u32, d4: u32,
  e0: u32, e1: u32, e2: u32, e3: u32, e4: u32,
  b0: u32, b1: u32, b2: u32, b3: u32, b4: u32,
  n: u32,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> x: array<Elem>;            // [e0, e1, e2, e3, e4]
@group(0) @binding(2) var<storage, read_write> y: array<Elem>;      // [d0, d1, d2, d3, d4]

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) t: u32) {
  let i = (group.x + u.origin.x) * 64u + t;
  if (i >= u.n) { return; }
  let rest3 = i / u.d4;
  let rest2 = rest3 / u.d3;
  let rest1 = rest2 / u.d2;
  // Before its begin an index wraps around, and so lies beyond the end as well.
  let i4 = i % u.d4 - u.b4;
  let i3 = rest3 % u.d3 - u.b3;
  let i2 = rest2 % u.d2 - u.b2;
  let i1 = rest1 % u.d1 - u.b1;
  let i0 = rest1 / u.d1 - u.b0;
  let inside = i0 < u.e0 && i1 < u.e1 && i2 < u.e2 && i3 < u.e3 && i4 < u.e4;
  let at = (((i0 * u.e1 + i1) * u.e2 + i2) * u.e3 + i3) * u.e4 + i4;
  y[i] = select(Elem(0.0), x[select(0u, at, inside)], inside);
}
