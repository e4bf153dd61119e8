// total = total + part, or 0 without more; one invocation per element.
//
// What is not finite is found by the stored bits, because arithmetic may assume that it does not exist, and stays as it is.
//#params
alias Elem = f32;
//#end
struct Uniforms { origin: vec3u, n: u32 }
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read_write> total: array<Elem>;     // [n]
@group(0) @binding(2) var<storage, read> part: array<Elem>;            // [n] //#if more

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) t: u32) {
  let i = (group.x + u.origin.x) * 64u + t;
  if (i >= u.n) { return; }
  var sum = 0u;
  //#if more
  let a = bitcast<u32>(total[i]);
  let b = bitcast<u32>(part[i]);
  sum = select(bitcast<u32>(total[i] + part[i]), b, (b & 0x7f800000u) == 0x7f800000u);
  sum = select(sum, a, (a & 0x7f800000u) == 0x7f800000u);
  //#endif
  total[i] = bitcast<f32>(sum);
}
