// average += (1 - d) (values - average), with d = decay, or less in the first steps; one invocation per four elements.
// A step that is not taken touches nothing.
//#params
alias Elem = f32;
//#end
//#use optim
alias Elem4 = vec4<Elem>;
struct Uniforms { origin: vec3u, n: u32, decay: f32 }
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read_write> average: array<Elem4>;  // [n]
@group(0) @binding(2) var<storage, read> values: array<Elem4>;        // [n]
@group(0) @binding(3) var<storage, read> control: array<f32>;          // [8]

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) t: u32) {
  let i = (group.x + u.origin.x) * 64u + t;
  if (i >= u.n / 4u || control[FINITE] == 0.0) { return; }
  let share = 1.0 - min(u.decay, (1.0 + control[STEPS]) / (10.0 + control[STEPS]));
  average[i] += share * (values[i] - average[i]);
}
