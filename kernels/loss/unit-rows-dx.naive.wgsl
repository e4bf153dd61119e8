// dx_i = f · inverse_i · (dy_i - y_i ⟨y_i, dy_i⟩), f = upstream / anchors, or 0 without anchors; one invocation per row: the readable specification.
//#params
alias Elem = f32;
//#end
struct Uniforms { origin: vec3u, n: u32, d: u32 }
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> dy: array<Elem>;              // [n, d]
@group(0) @binding(2) var<storage, read> y: array<Elem>;               // [n, d]
@group(0) @binding(3) var<storage, read> inverse: array<f32>;          // [n]
@group(0) @binding(4) var<storage, read> upstream: array<f32>;         // [1] //#if mean
@group(0) @binding(5) var<storage, read> anchors: array<f32>;          // [1] //#if mean
@group(0) @binding(6) var<storage, read_write> dx: array<Elem>;        // [n, d]

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) t: u32) {
  let i = (group.x + u.origin.x) * 64u + t;
  if (i >= u.n) { return; }
  var f = inverse[i];
  if (anchors[0] > 0.0) { f *= upstream[0] / anchors[0]; } else { f = 0.0; } //#if mean
  var along = 0.0;
  for (var k = 0u; k < u.d; k++) { along += f32(y[i * u.d + k]) * f32(dy[i * u.d + k]); }
  for (var k = 0u; k < u.d; k++) {
    let at = i * u.d + k;
    dx[at] = Elem(f * (f32(dy[at]) - f32(y[at]) * along));
  }
}
