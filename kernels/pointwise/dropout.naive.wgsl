// y = x scale where a random number is not below the rate, else 0; one invocation per element: the readable specification.
//#params
alias Elem = f32;
//#end
//#use rng
struct Uniforms { origin: vec3u, n: u32, stream: u32, rate: f32, scale: f32 }
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> x: array<Elem>;            // [n]
@group(0) @binding(2) var<storage, read> seed: array<u32>;          // [2]
@group(0) @binding(3) var<storage, read_write> y: array<Elem>;      // [n]

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) t: u32) {
  let i = (group.x + u.origin.x) * 64u + t;
  if (i >= u.n) { return; }
  // Four neighbours share one draw of 128 bits.
  let drawn = toUniform4(philox4x32(vec4u(i / 4u, u.stream, DROPOUT, 0u), vec2u(seed[0], seed[1])));
  y[i] = select(Elem(0.0), Elem(f32(x[i]) * u.scale), drawn[i % 4u] >= u.rate);
}

// Third word of every counter of this kernel: keeps its draws apart from those of others.
const DROPOUT = 0x64726f70u;
