// y = act(x), four neighbouring elements in each of ROWS rows per invocation.
//#params
alias Elem = f32;
const ROWS = 4u;
//#end
//#use activation
alias Elem4 = vec4<Elem>;
struct Uniforms { origin: vec3u, n: u32 }
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> x: array<Elem4>;           // [n]
@group(0) @binding(2) var<storage, read_write> y: array<Elem4>;     // [n]

fn act(x: f32) -> f32 {
  var v = relu(x);
  v = gelu(x);                                                      //#if gelu
  v = silu(x);                                                      //#if silu
  v = sigmoid(x);                                                   //#if sigmoid
  v = hyperbolicTangent(x);                                         //#if tanh
  return v;
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) t: u32) {
  let width = (u.n / 4u + ROWS - 1u) / ROWS;
  let column = (group.x + u.origin.x) * 64u + t;
  if (column >= width) { return; }
  for (var i = column; i < u.n / 4u; i += width) {
    let v = vec4f(x[i]);
    y[i] = Elem4(vec4f(act(v.x), act(v.y), act(v.z), act(v.w)));
  }
}
