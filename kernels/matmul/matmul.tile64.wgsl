// C = act(A · B + bias) + residual in tiles of 64 × 64 staged through workgroup memory.
//
//   workgroup   one 64 × 64 tile of C
//   invocation  4 rows 16 apart and 1 group of 4 columns, in registers
//   step        32 of k: half of the lanes stage A and half B, a block of 4 × 4 each, the next while the last is multiplied
//
// Needs sizes in fours (see `legal`). Sums in f32 whatever Elem is. 16 KiB of workgroup memory.
//#params
alias Elem = f32;
const TILE = 64u;                                                   // rows and columns of C a workgroup makes
const STEP = 32u;                                                   // of k at a time
const UNROLL = 0u;                                                  // 1: a step is multiplied whole, for compilers to unroll
//#end
alias Elem4 = vec4<Elem>;
//#use activation fours foursBlock share madd
const TILE4 = TILE / 4u;                                            // vectors in a row of the staged B
const K4 = STEP / 4u;                                               // vectors of k in a step
struct Uniforms { origin: vec3u, batch: u32, batchA: u32, batchB: u32, m: u32, n: u32, k: u32, splits: u32 }
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> a: array<Elem4>;           // [batchA, m, k]
@group(0) @binding(2) var<storage, read> b: array<Elem4>;           // [batchB, k, n]
@group(0) @binding(3) var<storage, read_write> c: array<Elem4>;     // [batch, m, n] //#if !parts
@group(0) @binding(4) var<storage, read> bias: array<Elem4>;        // [n] //#if bias
@group(0) @binding(5) var<storage, read> residual: array<Elem4>;    // [batch, m, n] //#if residual
@group(0) @binding(6) var<storage, read_write> parts: array<vec4f>; // [splits, batch, m, n] //#if parts

// The vectors of a row of A are staged in turned places, so that rows that are read together lie in different banks.
var<workgroup> stagedA: array<vec4f, TILE * K4>;                    // [TILE, K4] vectors along k
var<workgroup> stagedB: array<vec4f, STEP * TILE4>;                 // [STEP, TILE4] vectors along n

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) t: u32) {
  let wg = group + u.origin;
  let own = shareOf(wg.z);
  let n4 = u.n / 4u;
  let lane = t % 128u;
  let forA = t < 128u;
  let rowA = 4u * (lane / K4);                                      // of A's block in the tile
  let stepA = lane % K4;
  let stepB = lane / TILE4;
  let columnB = lane % TILE4;
  // Of 32 invocations side by side 4 × 8 have their places together: they read less than 2 × 16 would.
  let ty = t / 64u * 4u + t % 32u / 8u;
  let tx = t / 32u % 2u * 8u + t % 8u;
  let turn = ty % 8u;
  var s0 = vec4f();
  var s1 = vec4f();
  var s2 = vec4f();
  var s3 = vec4f();
  let first = own.start / 4u;
  let end = (own.end + 3u) / 4u;                                    // vectors of k
  let steps = (own.end - own.start + STEP - 1u) / STEP;
  for (var at = 0u; at <= steps; at++) {
    // The block of step `at` is loaded while the staged one, of the step before, is multiplied.
    var next = mat4x4f();
    if (at < steps) {
      if (forA) { next = loadA(own.za, wg.y * TILE + rowA, first + at * K4 + stepA); }
      else { next = loadB(own.zb, min(first + at * K4 + stepB, end - 1u), min(wg.x * TILE4 + columnB, n4 - 1u)); }
    }
    if (at > 0u) {
      let count = select(min(K4, end - first - (at - 1u) * K4), K4, UNROLL == 1u);
      for (var p = 0u; p < count; p++) {
        let b0 = stagedB[(4u * p ) * TILE4 + tx];
        let b1 = stagedB[(4u * p + 1u) * TILE4 + tx];
        let b2 = stagedB[(4u * p + 2u) * TILE4 + tx];
        let b3 = stagedB[(4u * p + 3u) * TILE4 + tx];
        let a0 = stagedA[(ty ) * K4 + (p ^ turn)];
        s0 = madd(a0, b0, b1, b2, b3, s0);
        let a1 = stagedA[(ty + 16u) * K4 + (p ^ turn)];
        s1 = madd(a1, b0, b1, b2, b3, s1);
        let a2 = stagedA[(ty + 32u) * K4 + (p ^ turn)];
        s2 = madd(a2, b0, b1, b2, b3, s2);
        let a3 = stagedA[(ty + 48u) * K4 + (p ^ turn)];
        s3 = madd(a3, b0, b1, b2, b3, s3);
      }
    }
    workgroupBarrier();                                             // all have read the old slab
    if (at < steps) {
      if (forA) {
        stagedA[(rowA) * K4 + (stepA ^ ((rowA) % 8u))] = next[0];
        stagedA[(rowA + 1u) * K4 + (stepA ^ ((rowA + 1u) % 8u))] = next[1];
        stagedA[(rowA + 2u) * K4 + (stepA ^ ((rowA + 2u) % 8u))] = next[2];
        stagedA[(rowA + 3u) * K4 + (stepA ^ ((rowA + 3u) % 8u))] = next[3];
      } else {
        stagedB[(4u * stepB ) * TILE4 + columnB] = next[0];
        stagedB[(4u * stepB + 1u) * TILE4 + columnB] = next[1];
        stagedB[(4u * stepB + 2u) * TILE4 + columnB] = next[2];
        stagedB[(4u * stepB + 3u) * TILE4 + columnB] = next[3];
      }
    }
    workgroupBarrier();                                             // the new slab is whole
  }
  let i = wg.y * TILE + ty;
  // A loop, so that the compiler meets one epilogue and not one for each row.
  let j4 = wg.x * TILE4 + tx;
  if (j4 >= n4) { return; }
  var sums = array<vec4f, 4>(s0, s1, s2, s3);
  for (var r = 0u; r < 4u && i + 16u * r < u.m; r++) { store(sums[r], j4, (wg.z * u.m + i + 16u * r) * n4 + j4); }
}
