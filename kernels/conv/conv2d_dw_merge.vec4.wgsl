// dw = the sum of its parts in their order (+ residual), one invocation per four weights.
//#params
alias Elem = f32;
//#end
alias Elem4 = vec4<Elem>;
struct Uniforms { origin: vec3u, splits: u32, n: u32 }
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> parts: array<vec4f>;       // [splits, n]
@group(0) @binding(2) var<storage, read_write> dw: array<Elem4>;    // [n]
@group(0) @binding(3) var<storage, read> residual: array<Elem4>;    // [n] //#if residual

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) t: u32) {
  let at = (group.x + u.origin.x) * 64u + t;
  let n4 = u.n / 4u;
  if (at >= n4) { return; }
  var sum = vec4f(0.0);
  for (var s = 0u; s < u.splits; s++) { sum += parts[s * n4 + at]; }
  sum += vec4f(residual[at]);                                       //#if residual
  dw[at] = Elem4(sum);
}
