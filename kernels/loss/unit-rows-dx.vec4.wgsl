// dx_i = f · inverse_i · (dy_i - y_i ⟨y_i, dy_i⟩), f = upstream / anchors, or 0 without anchors; one invocation per row, four components at a time.
//#params
alias Elem = f32;
const LANES = 32u;
//#end
alias Elem4 = vec4<Elem>;
struct Uniforms { origin: vec3u, n: u32, d: u32 }
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> dy: array<Elem4>;             // [n, d]
@group(0) @binding(2) var<storage, read> y: array<Elem4>;              // [n, d]
@group(0) @binding(3) var<storage, read> inverse: array<f32>;          // [n]
@group(0) @binding(4) var<storage, read> upstream: array<f32>;         // [1] //#if mean
@group(0) @binding(5) var<storage, read> anchors: array<f32>;          // [1] //#if mean
@group(0) @binding(6) var<storage, read_write> dx: array<Elem4>;       // [n, d]

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) t: u32) {
  let i = (group.x + u.origin.x) * LANES + t;
  if (i >= u.n) { return; }
  let width = u.d / 4u;
  var f = inverse[i];
  if (anchors[0] > 0.0) { f *= upstream[0] / anchors[0]; } else { f = 0.0; } //#if mean
  var parts = vec4f(0.0);
  for (var k = 0u; k < width; k++) { parts += vec4f(y[i * width + k]) * vec4f(dy[i * width + k]); }
  let along = (parts.x + parts.y) + (parts.z + parts.w);
  for (var k = 0u; k < width; k++) {
    let at = i * width + k;
    dx[at] = Elem4(f * (vec4f(dy[at]) - vec4f(y[at]) * along));
  }
}
