// y = act(x), relu unless a flag names another, one invocation per element: the readable specification.
//#params
alias Elem = f32;
//#end
//#use activation
struct Uniforms { origin: vec3u, n: u32 }
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> x: array<Elem>;            // [n]
@group(0) @binding(2) var<storage, read_write> y: array<Elem>;      // [n]

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) t: u32) {
  let i = (group.x + u.origin.x) * 64u + t;
  if (i >= u.n) { return; }
  let x0 = f32(x[i]);
  var v = relu(x0);
  v = gelu(x0);                                                     //#if gelu
  v = silu(x0);                                                     //#if silu
  v = sigmoid(x0);                                                  //#if sigmoid
  v = hyperbolicTangent(x0);                                        //#if tanh
  y[i] = Elem(v);
}
