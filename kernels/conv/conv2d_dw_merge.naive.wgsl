// dw = the sum of its parts in their order (+ residual), one invocation per weight.
//#params
alias Elem = f32;
//#end
struct Uniforms { origin: vec3u, splits: u32, n: u32 }
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> parts: array<f32>;         // [splits, n]
@group(0) @binding(2) var<storage, read_write> dw: array<Elem>;     // [n]
@group(0) @binding(3) var<storage, read> residual: array<Elem>;     // [n] //#if residual

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) t: u32) {
  let at = (group.x + u.origin.x) * 64u + t;
  if (at >= u.n) { return; }
  var sum = 0.0;
  for (var s = 0u; s < u.splits; s++) { sum += parts[s * u.n + at]; }
  sum += f32(residual[at]);                                         //#if residual
  dw[at] = Elem(sum);
}
