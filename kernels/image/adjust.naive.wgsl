// y = max(gain · x + offset, 0)^gamma + noise · ε, with gain, offset, gamma and noise of each image; one invocation per element.
//
// ε follows from what the image goes by, its key or its index. It has mean 0 and variance 1: the sum of four uniform numbers, scaled; only multiplications and additions, so equal everywhere.
//#params
alias Elem = f32;
//#end
//#use rng
struct Uniforms { origin: vec3u, b: u32, n: u32, stream: u32, first: u32 }
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> x: array<Elem>;               // [b, n]
@group(0) @binding(2) var<storage, read> setting: array<f32>;          // [b, 4]
@group(0) @binding(3) var<storage, read> seed: array<u32>;             // [2]
@group(0) @binding(4) var<storage, read_write> y: array<Elem>;         // [b, n]
@group(0) @binding(5) var<storage, read> key: array<u32>;              // [b] //#if keyed

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) t: u32) {
  let wg = group + u.origin;
  let i = wg.x * 64u + t;
  let image = wg.y;
  if (i >= u.n) { return; }
  let place = u.first + image;
  let gamma = setting[4u * place + 2u];
  let noise = setting[4u * place + 3u];
  var value = max(setting[4u * place] * f32(x[image * u.n + i]) + setting[4u * place + 1u], 0.0);
  if (gamma != 1.0) { value = select(0.0, pow(max(value, 1e-30), gamma), value > 0.0); }
  if (noise > 0.0) {
    var goesBy = place;
    goesBy = key[place];                                             //#if keyed
    let drawn = toUniform4(philox4x32(vec4u(i, goesBy, u.stream, 0x6e6f6973u), vec2u(seed[0], seed[1])));
    value += noise * 1.7320508 * (((drawn.x + drawn.y) + (drawn.z + drawn.w)) - 2.0);
  }
  y[image * u.n + i] = Elem(value);
}
