// y = random words: four, one Philox draw, per invocation.
//#params
alias Elem = f32;
//#end
//#use rng
struct Uniforms { origin: vec3u, draws: u32, first: u32, c1: u32, c2: u32, c3: u32 }
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> seed: array<u32>;          // [2]
@group(0) @binding(2) var<storage, read_write> y: array<vec4u>;     // [draws, 4]

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) t: u32) {
  let i = (group.x + u.origin.x) * 64u + t;
  if (i >= u.draws) { return; }
  y[i] = philox4x32(vec4u(u.first + i, u.c1, u.c2, u.c3), vec2u(seed[0], seed[1]));
}
