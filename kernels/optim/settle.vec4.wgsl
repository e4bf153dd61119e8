// What a step has gathered counts, or is taken back: settled = staged where the step is taken, staged = settled where it is not.
// One invocation per four elements.
//#params
alias Elem = f32;
//#end
//#use optim
alias Elem4 = vec4<Elem>;
struct Uniforms { origin: vec3u, n: u32 }
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read_write> staged: array<Elem4>;   // [n]
@group(0) @binding(2) var<storage, read_write> settled: array<Elem4>;  // [n]
@group(0) @binding(3) var<storage, read> control: array<f32>;          // [8]

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) t: u32) {
  let i = (group.x + u.origin.x) * 64u + t;
  if (i >= u.n / 4u) { return; }
  if (control[FINITE] == 0.0) { staged[i] = settled[i]; } else { settled[i] = staged[i]; }
}
