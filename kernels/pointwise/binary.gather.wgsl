// y = act(x ∘ z) with broadcasting, four neighbours along the last dimension per invocation: operands are read by the element,
// wherever it lies, and the result is stored by the vector, for stores are what is dear.
// Along each of four dimensions an operand has a stride, which is 0 where it is repeated.
//#params
alias Elem = f32;
//#end
alias Elem4 = vec4<Elem>;
//#use activation
struct Uniforms {
  origin: vec3u,
  d0: u32, d1: u32, d2: u32, d3: u32,
  a0: u32, a1: u32, a2: u32, a3: u32,
  b0: u32, b1: u32, b2: u32, b3: u32,
  na: u32, nb: u32, n: u32,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> a: array<Elem>;            // [na]
@group(0) @binding(2) var<storage, read> b: array<Elem>;            // [nb]
@group(0) @binding(3) var<storage, read_write> y: array<Elem4>;     // [n]

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) t: u32) {
  let i = (group.x + u.origin.x) * 64u + t;
  if (i >= u.n / 4u) { return; }
  let i3 = i % (u.d3 / 4u) * 4u;
  let rest3 = i / (u.d3 / 4u);
  let i2 = rest3 % u.d2;
  let rest2 = rest3 / u.d2;
  let i1 = rest2 % u.d1;
  let i0 = rest2 / u.d1;
  let atA = i0 * u.a0 + i1 * u.a1 + i2 * u.a2 + i3 * u.a3;
  let atB = i0 * u.b0 + i1 * u.b1 + i2 * u.b2 + i3 * u.b3;
  let p = vec4f(f32(a[atA]), f32(a[atA + u.a3]), f32(a[atA + 2u * u.a3]), f32(a[atA + 3u * u.a3]));
  let q = vec4f(f32(b[atB]), f32(b[atB + u.b3]), f32(b[atB + 2u * u.b3]), f32(b[atB + 3u * u.b3]));
  var v = p + q;
  v = p - q;                                                        //#if subtract
  v = p * q;                                                        //#if multiply
  v = p / q;                                                        //#if divide
  v = relu4(v);                                                     //#if relu
  v = gelu4(v);                                                     //#if gelu
  v = silu4(v);                                                     //#if silu
  y[i] = Elem4(v);
}
