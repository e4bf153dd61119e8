// Gradient descent with momentum of one element: velocity = momentum · velocity + g, the weight loses lr · velocity, or with
// nesterov lr · (g + momentum · velocity). g is the raw gradient times the control's factor, plus decay · weight.
// One invocation per element. A step that is not taken touches nothing.
//#params
alias Elem = f32;
//#end
//#use optim
struct Uniforms { origin: vec3u, n: u32, decayEnd: u32 }
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read_write> parameters: array<Elem>; // [n]
@group(0) @binding(2) var<storage, read> gradients: array<Elem>;       // [n]
@group(0) @binding(3) var<storage, read_write> velocity: array<Elem>;  // [n]
@group(0) @binding(4) var<storage, read> control: array<f32>;          // [8]
@group(0) @binding(5) var<storage, read> hyper: array<f32>;            // [10]

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) t: u32) {
  let i = (group.x + u.origin.x) * 64u + t;
  if (i >= u.n || control[FINITE] == 0.0) { return; }
  let decay = select(0.0, hyper[WEIGHT_DECAY], i < u.decayEnd);
  let g = gradients[i] * control[FACTOR] + decay * parameters[i];
  let next = hyper[BETA_1] * velocity[i] + g;
  velocity[i] = next;
  var step = next;
  step = g + hyper[BETA_1] * next;                                   //#if nesterov
  parameters[i] -= hyper[LEARNING_RATE] * step;
}
