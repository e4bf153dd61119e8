// y = exp(x), or log, sqrt or the square by flag, one invocation per element.
//#params
alias Elem = f32;
//#end
struct Uniforms { origin: vec3u, n: u32 }
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> x: array<Elem>;            // [n]
@group(0) @binding(2) var<storage, read_write> y: array<Elem>;      // [n]

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) t: u32) {
  let i = (group.x + u.origin.x) * 64u + t;
  if (i >= u.n) { return; }
  let x0 = f32(x[i]);
  var v = exp(x0);
  v = log(x0);                                                      //#if log
  v = sqrt(x0);                                                     //#if sqrt
  v = x0 * x0;                                                      //#if square
  y[i] = Elem(v);
}
