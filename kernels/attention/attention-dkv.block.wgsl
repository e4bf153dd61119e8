// dv_j = Σ_i p_ij dOut_i and dk_j = scale Σ_i p_ij (dOut_i · v_j − delta_i) q_i with p_ij = exp(scale q_i · k_j − lse_i) in blocks of
// registers (see lib/heads). d in fours.
//#params
alias Elem = f32;
const D4 = 16u;                                                     // columns, in fours, and up to the next eight
const ROWS = 32u;                                                   // keys a workgroup takes
const STEP = 32u;                                                   // queries it stages at a time
//#end
//#use heads madd
alias Elem4 = vec4<Elem>;
struct Uniforms { origin: vec3u, b: u32, h: u32, n: u32, m: u32, d: u32, scale: f32 }
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> q: array<Elem4>;           // [b, n, h, d]
@group(0) @binding(2) var<storage, read> k: array<Elem4>;           // [b, m, h, d]
@group(0) @binding(3) var<storage, read> v: array<Elem4>;           // [b, m, h, d]
@group(0) @binding(4) var<storage, read> dOut: array<Elem4>;        // [b, n, h, d]
@group(0) @binding(5) var<storage, read> lse: array<f32>;           // [b, h, n]
@group(0) @binding(6) var<storage, read> delta: array<f32>;         // [b, h, n]
@group(0) @binding(7) var<storage, read_write> dk: array<Elem4>;    // [b, m, h, d]
@group(0) @binding(8) var<storage, read_write> dv: array<Elem4>;    // [b, m, h, d]

struct Task { wg: vec3u, first: u32 }                               // head, batch, and the first row

fn queryAt(wg: vec3u, i: u32, c4: u32) -> u32 { return ((wg.z * u.n + min(i, u.n - 1u)) * u.h + wg.y) * (u.d / 4u) + c4; }
fn keyAt(wg: vec3u, j: u32, c4: u32) -> u32 { return ((wg.z * u.m + min(j, u.m - 1u)) * u.h + wg.y) * (u.d / 4u) + c4; }

fn keptAt(task: Task, operand: u32, row: u32, c4: u32) -> vec4f {
  if (operand == 0u) { return vec4f(k[keyAt(task.wg, task.first + row, c4)]); }
  return vec4f(v[keyAt(task.wg, task.first + row, c4)]);
}
fn streamedAt(task: Task, operand: u32, row: u32, c4: u32) -> vec4f {
  if (operand == 0u) { return vec4f(q[queryAt(task.wg, row, c4)]); }
  return vec4f(dOut[queryAt(task.wg, row, c4)]);
}

fn weightOf(s: vec4f, shift: vec4f, keep: vec4<bool>) -> vec4f { return select(vec4f(0.0), exp(s * u.scale - shift), keep); }

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) t: u32) {
  let wg = group + u.origin;
  let task = Task(wg, wg.x * ROWS);
  var sumsK = Sums();
  var sumsV = Sums();
  for (var i = 0u; i < u.n; i += STEP) {
    workgroupBarrier();                                             // all have read the step before
    stageStreamed(task, i, t);
    workgroupBarrier();
    let keep = i + columnOf(t) < vec4u(u.n);
    let at = vec4u((wg.z * u.h + wg.y) * u.n) + min(i + columnOf(t), vec4u(u.n - 1u));
    let shift = vec4f(lse[at.x], lse[at.y], lse[at.z], lse[at.w]);
    let offset = vec4f(delta[at.x], delta[at.y], delta[at.z], delta[at.w]);
    let s = multiplyRows(task, 0u, 0u, t);
    let p = Four(weightOf(s.a, shift, keep), weightOf(s.b, shift, keep), weightOf(s.c, shift, keep), weightOf(s.d, shift, keep));
    storeWeights(p, t);
    let dp = multiplyRows(task, 1u, STREAMED_TOO, t);
    workgroupBarrier();                                             // the weights of dv are whole
    gather(&sumsV, STREAMED_TOO, t);
    workgroupBarrier();                                             // and have been read
    storeWeights(Four(p.a * (dp.a - offset), p.b * (dp.b - offset), p.c * (dp.c - offset), p.d * (dp.d - offset)), t);
    workgroupBarrier();                                             // those of dk are whole
    gather(&sumsK, 0u, t);
  }
  for (var r = 0u; r < 4u; r++) {
    let row = wg.x * ROWS + t / ACROSS * 4u + r;
    if (row >= u.m) { break; }
    for (var w = 0u; w < WIDE; w++) {
      let c4 = t % ACROSS + ACROSS * w;
      if (c4 >= u.d / 4u) { break; }
      let keys = array<vec4f, 4>(sumsK[w].a, sumsK[w].b, sumsK[w].c, sumsK[w].d);
      dk[keyAt(wg, row, c4)] = Elem4(keys[r] * u.scale);
      let values = array<vec4f, 4>(sumsV[w].a, sumsV[w].b, sumsV[w].c, sumsV[w].d);
      dv[keyAt(wg, row, c4)] = Elem4(values[r]);
    }
  }
}
