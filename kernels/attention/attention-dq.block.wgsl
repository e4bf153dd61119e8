// dq_i = scale Σ_j p_ij (dOut_i · v_j − delta_i) k_j with p_ij = exp(scale q_i · k_j − lse_i) in blocks of registers (see lib/heads).
// d in fours.
//#params
alias Elem = f32;
const D4 = 16u;                                                     // columns, in fours, and up to the next eight
const ROWS = 32u;                                                   // queries a workgroup takes
const STEP = 32u;                                                   // keys it stages at a time
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
@group(0) @binding(7) var<storage, read_write> dq: array<Elem4>;    // [b, n, h, d]

struct Task { wg: vec3u, first: u32 }                               // head, batch, and the first row

fn queryAt(wg: vec3u, i: u32, c4: u32) -> u32 { return ((wg.z * u.n + min(i, u.n - 1u)) * u.h + wg.y) * (u.d / 4u) + c4; }
fn keyAt(wg: vec3u, j: u32, c4: u32) -> u32 { return ((wg.z * u.m + min(j, u.m - 1u)) * u.h + wg.y) * (u.d / 4u) + c4; }

fn keptAt(task: Task, operand: u32, row: u32, c4: u32) -> vec4f {
  if (operand == 0u) { return vec4f(q[queryAt(task.wg, task.first + row, c4)]); }
  return vec4f(dOut[queryAt(task.wg, task.first + row, c4)]);
}
fn streamedAt(task: Task, operand: u32, row: u32, c4: u32) -> vec4f {
  if (operand == 0u) { return vec4f(k[keyAt(task.wg, row, c4)]); }
  return vec4f(v[keyAt(task.wg, row, c4)]);
}

fn weightOf(s: vec4f, dp: vec4f, shift: f32, offset: f32, keep: vec4<bool>) -> vec4f {
  return select(vec4f(0.0), exp(s * u.scale - shift) * (dp - offset), keep);
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) t: u32) {
  let wg = group + u.origin;
  let task = Task(wg, wg.x * ROWS);
  let at = vec4u((wg.z * u.h + wg.y) * u.n) + min(vec4u(wg.x * ROWS + t / ACROSS * 4u) + vec4u(0u, 1u, 2u, 3u), vec4u(u.n - 1u));
  let shift = vec4f(lse[at.x], lse[at.y], lse[at.z], lse[at.w]);
  let offset = vec4f(delta[at.x], delta[at.y], delta[at.z], delta[at.w]);
  var sums = Sums();
  for (var j = 0u; j < u.m; j += STEP) {
    workgroupBarrier();                                             // all have read the step before
    stageStreamed(task, j, t);
    workgroupBarrier();
    let keep = j + columnOf(t) < vec4u(u.m);
    let s = multiplyRows(task, 0u, 0u, t);
    let dp = multiplyRows(task, 1u, STREAMED_TOO, t);
    storeWeights(Four(weightOf(s.a, dp.a, shift.x, offset.x, keep), weightOf(s.b, dp.b, shift.y, offset.y, keep),
      weightOf(s.c, dp.c, shift.z, offset.z, keep), weightOf(s.d, dp.d, shift.w, offset.w, keep)), t);
    workgroupBarrier();                                             // the weights are whole
    gather(&sums, 0u, t);
  }
  for (var r = 0u; r < 4u; r++) {
    let row = wg.x * ROWS + t / ACROSS * 4u + r;
    if (row >= u.n) { break; }
    for (var w = 0u; w < WIDE; w++) {
      let c4 = t % ACROSS + ACROSS * w;
      if (c4 >= u.d / 4u) { break; }
      let rows = array<vec4f, 4>(sums[w].a, sums[w].b, sums[w].c, sums[w].d);
      dq[queryAt(wg, row, c4)] = Elem4(rows[r] * u.scale);
    }
  }
}
