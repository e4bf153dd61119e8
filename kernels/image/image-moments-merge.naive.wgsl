// Mean and 1 / max(standard deviation, least) of each image from its parts, joined in order (Chan, Golub, LeVeque 1979).
// One invocation per image.
//#params
alias Elem = f32;
//#end
struct Uniforms { origin: vec3u, b: u32, parts: u32, least: f32 }
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> partial: array<f32>;          // [b, parts, 3]
@group(0) @binding(2) var<storage, read_write> moments: array<f32>;    // [b, 2]

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) t: u32) {
  let image = (group.x + u.origin.x) * 64u + t;
  if (image >= u.b) { return; }
  var mean = 0.0;
  var squares = 0.0;
  var count = 0.0;
  for (var p = 0u; p < u.parts; p++) {
    let at = 3u * (image * u.parts + p);
    let total = count + partial[at + 2u];
    let shift = partial[at] - mean;
    let share = partial[at + 2u] / total;
    mean += shift * share;
    squares += partial[at + 1u] + shift * shift * (count * share);
    count = total;
  }
  moments[2u * image] = mean;
  moments[2u * image + 1u] = 1.0 / max(sqrt(squares / count), u.least);
}
