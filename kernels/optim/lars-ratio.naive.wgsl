// ratio = trust · |p| / (|g| + decay · |p|) of each tensor of the flat buffers, g the raw gradient times the control's factor; 1 for
// tensors from decayEnd on and where a norm is 0. One invocation per tensor: the readable specification.
//#params
alias Elem = f32;
//#end
//#use optim
struct Uniforms { origin: vec3u, n: u32, tensors: u32, decayEnd: u32, base: u32, trust: f32 }
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> parameters: array<Elem>;      // [n]
@group(0) @binding(2) var<storage, read> gradients: array<Elem>;       // [n]
@group(0) @binding(3) var<storage, read> first: array<u32>;            // [tensors]
@group(0) @binding(4) var<storage, read> count: array<u32>;            // [tensors]
@group(0) @binding(5) var<storage, read> control: array<f32>;          // [8]
@group(0) @binding(6) var<storage, read> hyper: array<f32>;            // [10]
@group(0) @binding(7) var<storage, read_write> ratio: array<f32>;      // [tensors]

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) t: u32) {
  let which = (group.x + u.origin.x) * 64u + t;
  if (which >= u.tensors || first[which] - u.base >= u.n) { return; }  // wraps for what lies before the base
  var sums = vec2f(0.0);
  let begin = first[which] - u.base;
  for (var i = begin; i < min(begin + count[which], u.n); i++) {
    let g = gradients[i] * control[FACTOR];
    sums += vec2f(parameters[i] * parameters[i], g * g);
  }
  let norms = sqrt(sums);
  let plain = first[which] >= u.decayEnd || norms.x == 0.0 || norms.y == 0.0;
  ratio[which] = select(u.trust * norms.x / max(norms.y + hyper[WEIGHT_DECAY] * norms.x, 1e-30), 1.0, plain);
}
