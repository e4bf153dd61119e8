// out = softmax(q kᵀ · scale) v in blocks of registers (see lib/heads), streamed over the keys with an online log-sum-exp. d in fours.
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
@group(0) @binding(4) var<storage, read_write> out: array<Elem4>;   // [b, n, h, d]
@group(0) @binding(5) var<storage, read_write> lse: array<f32>;     // [b, h, n]

struct Task { wg: vec3u, first: u32 }                               // head, batch, and the first row

fn queryAt(wg: vec3u, i: u32, c4: u32) -> u32 { return ((wg.z * u.n + min(i, u.n - 1u)) * u.h + wg.y) * (u.d / 4u) + c4; }
fn keyAt(wg: vec3u, j: u32, c4: u32) -> u32 { return ((wg.z * u.m + min(j, u.m - 1u)) * u.h + wg.y) * (u.d / 4u) + c4; }

fn keptAt(task: Task, operand: u32, row: u32, c4: u32) -> vec4f {
  return vec4f(q[queryAt(task.wg, task.first + row, c4)]);
}
fn streamedAt(task: Task, operand: u32, row: u32, c4: u32) -> vec4f {
  if (operand == 0u) { return vec4f(k[keyAt(task.wg, row, c4)]); }
  return vec4f(v[keyAt(task.wg, row, c4)]);
}

// Stands for minus infinity, which WGSL may assume absent.
const NOTHING = -1e30;
var<workgroup> shared4: array<vec4f, LANES>;                        // what the invocations of four rows tell each other

fn highestOf(x: vec4f) -> f32 { return max(max(x.x, x.y), max(x.z, x.w)); }
fn sumOf(x: vec4f) -> f32 { return (x.x + x.y) + (x.z + x.w); }
fn shown(x: vec4f, keep: vec4<bool>) -> vec4f { return select(vec4f(NOTHING), x * u.scale, keep); }
fn weightOf(x: vec4f, top: f32, keep: vec4<bool>) -> vec4f { return select(vec4f(0.0), exp(x - top), keep); }

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) t: u32) {
  let wg = group + u.origin;
  let task = Task(wg, wg.x * ROWS);
  let first = t / ACROSS * ACROSS;                                  // of those that share four rows
  var top = vec4f(NOTHING);                                         // of each row
  var total = vec4f();                                              // of this invocation's share
  var sums = Sums();
  for (var j = 0u; j < u.m; j += STEP) {
    workgroupBarrier();                                             // all have read the step before
    stageStreamed(task, j, t);
    workgroupBarrier();
    let keep = j + columnOf(t) < vec4u(u.m);
    let x = multiplyRows(task, 0u, 0u, t);
    let s = Four(shown(x.a, keep), shown(x.b, keep), shown(x.c, keep), shown(x.d, keep));
    shared4[t] = vec4f(highestOf(s.a), highestOf(s.b), highestOf(s.c), highestOf(s.d));
    workgroupBarrier();
    var next = top;
    for (var i = 0u; i < ACROSS; i++) { next = max(next, shared4[first + i]); }
    let p = Four(weightOf(s.a, next.x, keep), weightOf(s.b, next.y, keep), weightOf(s.c, next.z, keep), weightOf(s.d, next.w, keep));
    storeWeights(p, t);
    let shrink = exp(top - next);
    total = total * shrink + vec4f(sumOf(p.a), sumOf(p.b), sumOf(p.c), sumOf(p.d));
    for (var w = 0u; w < WIDE; w++) {
      sums[w].a *= shrink.x;
      sums[w].b *= shrink.y;
      sums[w].c *= shrink.z;
      sums[w].d *= shrink.w;
    }
    top = next;
    workgroupBarrier();                                             // the weights are whole
    gather(&sums, STREAMED_TOO, t);
  }
  shared4[t] = total;
  workgroupBarrier();
  var whole = vec4f();
  for (var i = 0u; i < ACROSS; i++) { whole += shared4[first + i]; }
  for (var r = 0u; r < 4u; r++) {
    let row = wg.x * ROWS + t / ACROSS * 4u + r;
    if (row >= u.n) { break; }
    if (t % ACROSS == 0u) { lse[(wg.z * u.h + wg.y) * u.n + row] = top[r] + log(whole[r]); }
    for (var w = 0u; w < WIDE; w++) {
      let c4 = t % ACROSS + ACROSS * w;
      if (c4 >= u.d / 4u) { break; }
      let rows = array<vec4f, 4>(sums[w].a, sums[w].b, sums[w].c, sums[w].d);
      out[queryAt(wg, row, c4)] = Elem4(rows[r] / whole[r]);
    }
  }
}
