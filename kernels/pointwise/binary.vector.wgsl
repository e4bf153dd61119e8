// y = act(x ∘ z), four neighbouring elements in each of ROWS rows per invocation: for operands that are whole, or one stretch
// of a multiple of four that is repeated. Vectors because stores of single elements are dear, rows to divide seldom.
//#params
alias Elem = f32;
const ROWS = 4u;
//#end
//#use activation
alias Elem4 = vec4<Elem>;
struct Uniforms {
  origin: vec3u,
  d0: u32, d1: u32, d2: u32, d3: u32,
  a0: u32, a1: u32, a2: u32, a3: u32,
  b0: u32, b1: u32, b2: u32, b3: u32,
  na: u32, nb: u32, n: u32,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> a: array<Elem4>;           // [na]
@group(0) @binding(2) var<storage, read> b: array<Elem4>;           // [nb]
@group(0) @binding(3) var<storage, read_write> y: array<Elem4>;     // [n]

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) t: u32) {
  let l = (group.x + u.origin.x) * 64u + t;
  // The result as rows of the repeated operand; as ROWS rows where none is repeated. At most one is, for neither would make it longer.
  let n4 = u.n / 4u;
  let width = select(min(u.na, u.nb) / 4u, (n4 + ROWS - 1u) / ROWS, u.na == u.nb);
  let column = l % width;
  let first = l / width * ROWS * width + column;
  for (var k = 0u; k < ROWS; k++) {
    let i = first + k * width;
    if (i >= n4) { return; }
    let p = vec4f(a[select(column, i, u.na == u.n)]);
    let q = vec4f(b[select(column, i, u.nb == u.n)]);
    var v = p + q;
    v = p - q;                                                      //#if subtract
    v = p * q;                                                      //#if multiply
    v = p / q;                                                      //#if divide
    v = relu4(v);                                                   //#if relu
    v = gelu4(v);                                                   //#if gelu
    v = silu4(v);                                                   //#if silu
    y[i] = Elem4(v);
  }
}
