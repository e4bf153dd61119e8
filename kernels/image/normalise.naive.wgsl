// y = (x - mean) · inverse, the same for all images, or with `each` of every image; one invocation per element.
//#params
alias Elem = f32;
//#end
struct Uniforms { origin: vec3u, b: u32, n: u32, first: u32, mean: f32, inverse: f32 }
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> x: array<Elem>;               // [b, n]
@group(0) @binding(2) var<storage, read> moments: array<f32>;          // [b, 2] //#if each
@group(0) @binding(3) var<storage, read_write> y: array<Elem>;         // [b, n]

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) t: u32) {
  let wg = group + u.origin;
  let i = wg.x * 64u + t;
  if (i >= u.n) { return; }
  var mean = u.mean;
  var inverse = u.inverse;
  mean = moments[2u * (u.first + wg.y)];                                           //#if each
  inverse = moments[2u * (u.first + wg.y) + 1u];                                   //#if each
  y[wg.y * u.n + i] = Elem((f32(x[wg.y * u.n + i]) - mean) * inverse);
}
