// out = softmax(q kᵀ · scale) v and the log-sum-exp of every row of q kᵀ · scale; one invocation per query, one key at a time.
//#params
alias Elem = f32;
//#end
struct Uniforms { origin: vec3u, b: u32, h: u32, n: u32, m: u32, d: u32, scale: f32 }
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> q: array<Elem>;            // [b, n, h, d]
@group(0) @binding(2) var<storage, read> k: array<Elem>;            // [b, m, h, d]
@group(0) @binding(3) var<storage, read> v: array<Elem>;            // [b, m, h, d]
@group(0) @binding(4) var<storage, read_write> out: array<Elem>;    // [b, n, h, d]
@group(0) @binding(5) var<storage, read_write> lse: array<f32>;     // [b, h, n]

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) t: u32) {
  let wg = group + u.origin;
  let i = wg.x * 64u + t;
  if (i >= u.n) { return; }
  let atQ = ((wg.z * u.n + i) * u.h + wg.y) * u.d;
  var acc: array<f32, 128>;
  var highest = -3.0e38;
  var sum = 0.0;
  for (var j = 0u; j < u.m; j++) {
    let at = ((wg.z * u.m + j) * u.h + wg.y) * u.d;
    var s = 0.0;
    for (var c = 0u; c < u.d; c++) { s += f32(q[atQ + c]) * f32(k[at + c]); }
    s *= u.scale;
    let before = highest;
    highest = max(highest, s);
    let shrink = exp(before - highest);
    let p = exp(s - highest);
    sum = sum * shrink + p;
    for (var c = 0u; c < u.d; c++) { acc[c] = acc[c] * shrink + p * f32(v[at + c]); }
  }
  for (var c = 0u; c < u.d; c++) { out[atQ + c] = Elem(acc[c] / sum); }
  lse[(wg.z * u.h + wg.y) * u.n + i] = highest + log(sum);
}
