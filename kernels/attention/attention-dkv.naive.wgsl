// dv_j = Σ_i p_ij dOut_i and dk_j = scale Σ_i p_ij (dOut_i · v_j − delta_i) q_i with p_ij = exp(scale q_i · k_j − lse_i); one invocation
// per key.
//#params
alias Elem = f32;
//#end
struct Uniforms { origin: vec3u, b: u32, h: u32, n: u32, m: u32, d: u32, scale: f32 }
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> q: array<Elem>;            // [b, n, h, d]
@group(0) @binding(2) var<storage, read> k: array<Elem>;            // [b, m, h, d]
@group(0) @binding(3) var<storage, read> v: array<Elem>;            // [b, m, h, d]
@group(0) @binding(4) var<storage, read> dOut: array<Elem>;         // [b, n, h, d]
@group(0) @binding(5) var<storage, read> lse: array<f32>;           // [b, h, n]
@group(0) @binding(6) var<storage, read> delta: array<f32>;         // [b, h, n]
@group(0) @binding(7) var<storage, read_write> dk: array<Elem>;     // [b, m, h, d]
@group(0) @binding(8) var<storage, read_write> dv: array<Elem>;     // [b, m, h, d]

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) t: u32) {
  let wg = group + u.origin;
  let j = wg.x * 64u + t;
  if (j >= u.m) { return; }
  let atK = ((wg.z * u.m + j) * u.h + wg.y) * u.d;
  var accK: array<f32, 128>;
  var accV: array<f32, 128>;
  for (var i = 0u; i < u.n; i++) {
    let atQ = ((wg.z * u.n + i) * u.h + wg.y) * u.d;
    let row = (wg.z * u.h + wg.y) * u.n + i;
    var s = 0.0;
    var dp = 0.0;
    for (var c = 0u; c < u.d; c++) {
      s += f32(q[atQ + c]) * f32(k[atK + c]);
      dp += f32(dOut[atQ + c]) * f32(v[atK + c]);
    }
    let p = exp(s * u.scale - lse[row]);
    let ds = p * (dp - delta[row]) * u.scale;
    for (var c = 0u; c < u.d; c++) {
      accV[c] += p * f32(dOut[atQ + c]);
      accK[c] += ds * f32(q[atQ + c]);
    }
  }
  for (var c = 0u; c < u.d; c++) {
    dk[atK + c] = Elem(accK[c]);
    dv[atK + c] = Elem(accV[c]);
  }
}
