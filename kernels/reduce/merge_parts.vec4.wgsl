// y = act(Σ parts + bias) + residual, the parts in their order, one invocation per four elements, eight loads in flight.
//#params
alias Elem = f32;
//#end
//#use activation
alias Elem4 = vec4<Elem>;
struct Uniforms { origin: vec3u, splits: u32, rows: u32, n: u32 }
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> parts: array<vec4f>;       // [splits, rows, n]
@group(0) @binding(2) var<storage, read_write> y: array<Elem4>;     // [rows, n]
@group(0) @binding(3) var<storage, read> bias: array<Elem4>;        // [n] //#if bias
@group(0) @binding(4) var<storage, read> residual: array<Elem4>;    // [rows, n] //#if residual

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) t: u32) {
  let at = (group.x + u.origin.x) * 64u + t;
  let stride = u.rows * (u.n / 4u);
  if (at >= stride) { return; }
  var sum = vec4f();
  var s = 0u;
  for (; s + 7u < u.splits; s += 8u) {
    let first = s * stride + at;
    let x0 = parts[first];
    let x1 = parts[first + stride];
    let x2 = parts[first + 2u * stride];
    let x3 = parts[first + 3u * stride];
    let x4 = parts[first + 4u * stride];
    let x5 = parts[first + 5u * stride];
    let x6 = parts[first + 6u * stride];
    let x7 = parts[first + 7u * stride];
    sum = (((((((sum + x0) + x1) + x2) + x3) + x4) + x5) + x6) + x7;
  }
  for (; s < u.splits; s++) { sum += parts[s * stride + at]; }
  sum += vec4f(bias[at % (u.n / 4u)]);                              //#if bias
  sum = relu4(sum);                                                 //#if relu
  sum = gelu4(sum);                                                 //#if gelu
  sum = silu4(sum);                                                 //#if silu
  sum += vec4f(residual[at]);                                       //#if residual
  y[at] = Elem4(sum);
}
