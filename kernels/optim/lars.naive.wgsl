// Gradient descent with momentum at a rate of each tensor's own: velocity = momentum · velocity + ratio · (g + decay · weight), and the
// weight loses lr · velocity. g is the raw gradient times the control's factor. A tensor owns whole blocks of 64 elements.
// One invocation per element. A step that is not taken touches nothing.
//#params
alias Elem = f32;
//#end
//#use optim
struct Uniforms { origin: vec3u, n: u32, decayEnd: u32, tensors: u32, blocks: u32 }
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read_write> parameters: array<Elem>; // [n]
@group(0) @binding(2) var<storage, read> gradients: array<Elem>;       // [n]
@group(0) @binding(3) var<storage, read_write> velocity: array<Elem>;  // [n]
@group(0) @binding(4) var<storage, read> owner: array<u32>;            // [blocks]
@group(0) @binding(5) var<storage, read> ratio: array<f32>;            // [tensors]
@group(0) @binding(6) var<storage, read> control: array<f32>;          // [8]
@group(0) @binding(7) var<storage, read> hyper: array<f32>;            // [10]

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) t: u32) {
  let i = (group.x + u.origin.x) * 64u + t;
  if (i >= u.n || control[FINITE] == 0.0) { return; }
  let decay = select(0.0, hyper[WEIGHT_DECAY], i < u.decayEnd);
  let g = gradients[i] * control[FACTOR] + decay * parameters[i];
  let next = hyper[BETA_1] * velocity[i] + ratio[owner[i / 64u]] * g;
  velocity[i] = next;
  parameters[i] -= hyper[LEARNING_RATE] * next;
}
