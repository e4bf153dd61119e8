// total = total + part, or 0 without more; one invocation per four elements.
//
// What is not finite is found by the stored bits, because arithmetic may assume that it does not exist, and stays as it is.
//#params
alias Elem = f32;
//#end
alias Elem4 = vec4<Elem>;
struct Uniforms { origin: vec3u, n: u32 }
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read_write> total: array<Elem4>;    // [n]
@group(0) @binding(2) var<storage, read> part: array<Elem4>;           // [n] //#if more

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) t: u32) {
  let i = (group.x + u.origin.x) * 64u + t;
  if (i >= u.n / 4u) { return; }
  var sum = vec4u(0u);
  //#if more
  let a = bitcast<vec4u>(total[i]);
  let b = bitcast<vec4u>(part[i]);
  let broken = vec4u(0x7f800000u);
  sum = select(bitcast<vec4u>(total[i] + part[i]), b, (b & broken) == broken);
  sum = select(sum, a, (a & broken) == broken);
  //#endif
  total[i] = bitcast<vec4f>(sum);
}
