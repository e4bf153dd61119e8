// dy = the loss scale that the control state holds (1 where it holds none): what a backward pass begins with.
//#params
alias Elem = f32;
//#end
//#use optim
struct Uniforms { origin: vec3u }
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> control: array<f32>;          // [8]
@group(0) @binding(2) var<storage, read_write> dy: array<f32>;         // [1]

@compute @workgroup_size(1)
fn main(@builtin(workgroup_id) group: vec3u) {
  if (any(group + u.origin != vec3u(0u))) { return; }
  dy[0] = select(1.0, control[LOSS_SCALE], control[LOSS_SCALE] > 0.0);
}
