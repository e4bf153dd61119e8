// dq_i = scale Σ_j p_ij (dOut_i · v_j − delta_i) k_j with p_ij = exp(scale q_i · k_j − lse_i) for f16 with subgroup matrices (see
// lib/matrix-heads), sums and exponentials in f32. d in 32s.
//#params
alias Elem = f32;
const D8 = 8u;                                                      // columns, in eights
const ROWS = 32u;                                                   // queries a workgroup takes
const STEP = 32u;                                                   // keys at a time: 32 or 64
const SG = 32u;                                                     // width of the subgroup
//#end
//#use eight matrix matrixHeads
alias Elem8 = vec4u;                                                // eight halves
const KEPT = 2u;
struct Uniforms { origin: vec3u, b: u32, h: u32, n: u32, m: u32, d: u32, scale: f32 }
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> q: array<Elem8>;           // [b, n, h, d]
@group(0) @binding(2) var<storage, read> k: array<Elem8>;           // [b, m, h, d]
@group(0) @binding(3) var<storage, read> v: array<Elem8>;           // [b, m, h, d]
@group(0) @binding(4) var<storage, read> dOut: array<Elem8>;        // [b, n, h, d]
@group(0) @binding(5) var<storage, read> lse: array<f32>;           // [b, h, n]
@group(0) @binding(6) var<storage, read> delta: array<f32>;         // [b, h, n]
@group(0) @binding(7) var<storage, read_write> dq: array<Elem8>;    // [b, n, h, d]

struct Task { wg: vec3u, first: u32 }                               // head, batch, and the first row

fn queryAt(wg: vec3u, i: u32, c8: u32) -> u32 { return ((wg.z * u.n + min(i, u.n - 1u)) * u.h + wg.y) * D8 + c8; }
fn keyAt(wg: vec3u, j: u32, c8: u32) -> u32 { return ((wg.z * u.m + min(j, u.m - 1u)) * u.h + wg.y) * D8 + c8; }

fn keptAt(task: Task, operand: u32, row: u32, c8: u32) -> vec4u {
  if (operand == 0u) { return q[queryAt(task.wg, task.first + row, c8)]; }
  return dOut[queryAt(task.wg, task.first + row, c8)];
}
fn streamedAt(task: Task, operand: u32, row: u32, c8: u32) -> vec4u {
  if (operand == 0u) { return k[keyAt(task.wg, row, c8)]; }
  return v[keyAt(task.wg, row, c8)];
}
fn finish(task: Task, which: u32, row: u32, c8: u32, x: vec4f, y: vec4f) {
  if (task.first + row < u.n) { dq[queryAt(task.wg, task.first + row, c8)] = pack8(x * u.scale, y * u.scale); }
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) t: u32, place: Place) {
  let wg = group + u.origin;
  let task = Task(wg, wg.x * ROWS);
  let subgroup = ownSubgroup(place, t);
  stageKept(task, t);
  let row = (wg.z * u.h + wg.y) * u.n + min(wg.x * ROWS + rowOf(t), u.n - 1u);
  let shift = lse[row];
  let offset = delta[row];
  var sums: Sums;
  for (var j = 0u; j < u.m; j += STEP) {
    workgroupBarrier();                                             // all have read what lies there
    stageStreamed(task, j, true, t);
    workgroupBarrier();
    var products = Scores();                                        // written out: what is declared in a loop must begin anew
    var slopes = Scores();
    multiplyRows(subgroup, 0u, STREAMED, &products);
    multiplyRows(subgroup, ROWS * LD, STREAMED_TOO, &slopes);
    workgroupBarrier();
    storeScores(subgroup, SCORES, &products);
    storeScores(subgroup, SCORES_TOO, &slopes);
    workgroupBarrier();
    var w = scoresOf(t, SCORES);
    var dp = scoresOf(t, SCORES_TOO);
    for (var i = 0u; i < PER; i++) { w[i] = select(vec4f(0.0), exp(w[i] * u.scale - shift) * (dp[i] - offset), j + columnOf(t, i) < vec4u(u.m)); }
    workgroupBarrier();                                             // all have read their scores
    storeWeights(t, SCORES, w);
    workgroupBarrier();
    gather(subgroup, SCORES, STREAMED, &sums);
  }
  finishSums(task, 0u, subgroup, t, &sums);
}
