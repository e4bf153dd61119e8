// out = softmax(q kᵀ · scale) v for f16 with subgroup matrices (see lib/matrix-heads), sums and exponentials in f32. Matrices cannot be
// rescaled where they are: one pass over the keys gives the highest score and the sum of each row, a second one the weights, which the highest
// alone scales (as halves, shares of many keys would vanish), and their sums. d in 32s.
//#params
alias Elem = f32;
const D8 = 8u;                                                      // columns, in eights
const ROWS = 32u;                                                   // queries a workgroup takes
const STEP = 32u;                                                   // keys at a time: 32 or 64
const SG = 32u;                                                     // width of the subgroup
//#end
//#use eight matrix matrixHeads
alias Elem8 = vec4u;                                                // eight halves
const KEPT = 1u;
struct Uniforms { origin: vec3u, b: u32, h: u32, n: u32, m: u32, d: u32, scale: f32 }
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> q: array<Elem8>;           // [b, n, h, d]
@group(0) @binding(2) var<storage, read> k: array<Elem8>;           // [b, m, h, d]
@group(0) @binding(3) var<storage, read> v: array<Elem8>;           // [b, m, h, d]
@group(0) @binding(4) var<storage, read_write> out: array<Elem8>;   // [b, n, h, d]
@group(0) @binding(5) var<storage, read_write> lse: array<f32>;     // [b, h, n]

var<workgroup> wholes: array<f32, ROWS>;                            // sums of the weights of each row

struct Task { wg: vec3u, first: u32 }                               // head, batch, and the first row

fn queryAt(wg: vec3u, i: u32, c8: u32) -> u32 { return ((wg.z * u.n + min(i, u.n - 1u)) * u.h + wg.y) * D8 + c8; }
fn keyAt(wg: vec3u, j: u32, c8: u32) -> u32 { return ((wg.z * u.m + min(j, u.m - 1u)) * u.h + wg.y) * D8 + c8; }

fn keptAt(task: Task, operand: u32, row: u32, c8: u32) -> vec4u { return q[queryAt(task.wg, task.first + row, c8)]; }
fn streamedAt(task: Task, operand: u32, row: u32, c8: u32) -> vec4u {
  if (operand == 0u) { return k[keyAt(task.wg, row, c8)]; }
  return v[keyAt(task.wg, row, c8)];
}
fn finish(task: Task, which: u32, row: u32, c8: u32, x: vec4f, y: vec4f) {
  if (task.first + row < u.n) { out[queryAt(task.wg, task.first + row, c8)] = pack8(x / wholes[row], y / wholes[row]); }
}

// Stands for minus infinity, which WGSL may assume absent.
const NOTHING = -1e30;

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) t: u32, place: Place) {
  let wg = group + u.origin;
  let task = Task(wg, wg.x * ROWS);
  let subgroup = ownSubgroup(place, t);
  stageKept(task, t);
  var top = NOTHING;
  var total = 0.0;
  for (var j = 0u; j < u.m; j += STEP) {
    workgroupBarrier();                                             // all have read the scores before
    stageStreamed(task, j, false, t);
    workgroupBarrier();                                             // keys are there, and the queries
    var products = Scores();                                        // written out: what is declared in a loop must begin anew
    multiplyRows(subgroup, 0u, STREAMED, &products);
    workgroupBarrier();
    storeScores(subgroup, SCORES, &products);
    workgroupBarrier();
    var s = scoresOf(t, SCORES);
    var next = top;
    for (var i = 0u; i < PER; i++) {
      s[i] = select(vec4f(NOTHING), s[i] * u.scale, j + columnOf(t, i) < vec4u(u.m));
      next = max(next, max(max(s[i].x, s[i].y), max(s[i].z, s[i].w)));
    }
    total *= exp(top - next);
    for (var i = 0u; i < PER; i++) {
      let e = select(vec4f(0.0), exp(s[i] - next), j + columnOf(t, i) < vec4u(u.m));
      total += (e.x + e.y) + (e.z + e.w);
    }
    top = next;
  }
  workgroupBarrier();                                               // all have read the last scores
  staged[SCORES + t] = vec4u(bitcast<u32>(top), bitcast<u32>(total), 0u, 0u);
  workgroupBarrier();                                               // those who share a row meet
  var highest = NOTHING;
  for (var i = 0u; i < SHARERS; i++) { highest = max(highest, bitcast<f32>(staged[SCORES + rowOf(t) * SHARERS + i].x)); }
  var whole = 0.0;
  for (var i = 0u; i < SHARERS; i++) {
    let one = staged[SCORES + rowOf(t) * SHARERS + i];
    whole += bitcast<f32>(one.y) * exp(bitcast<f32>(one.x) - highest);
  }
  let row = wg.x * ROWS + rowOf(t);
  if (t % SHARERS == 0u) { wholes[rowOf(t)] = whole; }
  if (t % SHARERS == 0u && row < u.n) { lse[(wg.z * u.h + wg.y) * u.n + row] = highest + log(whole); }
  var sums: Sums;
  for (var j = 0u; j < u.m; j += STEP) {
    workgroupBarrier();                                             // all have read what lies there
    stageStreamed(task, j, true, t);
    workgroupBarrier();
    var products = Scores();
    multiplyRows(subgroup, 0u, STREAMED, &products);
    workgroupBarrier();
    storeScores(subgroup, SCORES, &products);
    workgroupBarrier();
    var p = scoresOf(t, SCORES);
    for (var i = 0u; i < PER; i++) { p[i] = select(vec4f(0.0), exp(p[i] * u.scale - highest), j + columnOf(t, i) < vec4u(u.m)); }
    workgroupBarrier();                                             // all have read their scores
    storeWeights(t, SCORES, p);
    workgroupBarrier();
    gather(subgroup, SCORES, STREAMED_TOO, &sums);
  }
  finishSums(task, 0u, subgroup, t, &sums);
}
