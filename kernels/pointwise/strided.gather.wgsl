// y[i] = x[offset + Σ i_k s_k], four neighbours along the last dimension of y per invocation: read by the element, wherever it
// lies, and stored by the vector, for stores are what is dear.
//#params
alias Elem = f32;
//#end
alias Elem4 = vec4<Elem>;
struct Uniforms {
  origin: vec3u,
  nx: u32, offset: u32,
  d0: u32, d1: u32, d2: u32, d3: u32, d4: u32,
  s0: u32, s1: u32, s2: u32, s3: u32, s4: u32,
  n: u32,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> x: array<Elem>;            // [nx]
@group(0) @binding(2) var<storage, read_write> y: array<Elem4>;     // [n]

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) t: u32) {
  let i = (group.x + u.origin.x) * 64u + t;
  if (i >= u.n / 4u) { return; }
  let d4 = u.d4 / 4u;
  let rest3 = i / d4;
  let rest2 = rest3 / u.d3;
  let rest1 = rest2 / u.d2;
  let outer = u.offset + (rest3 % u.d3) * u.s3 + (rest2 % u.d2) * u.s2 + (rest1 % u.d1) * u.s1 + (rest1 / u.d1) * u.s0;
  let at = outer + (i % d4) * 4u * u.s4;
  y[i] = Elem4(x[at], x[at + u.s4], x[at + 2u * u.s4], x[at + 3u * u.s4]);
}
