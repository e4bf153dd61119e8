// C = act(A · B + bias) + residual in tiles of 128 × 128 staged through workgroup memory.
//
//   workgroup   one 128 × 128 tile of C
//   invocation  8 rows 16 apart and 2 groups of 4 columns, in registers
//   step        16 of k: half of the lanes stage A and half B, a block of 4 × 4 each, the next while the last is multiplied
//
// Needs sizes in fours (see `legal`). Sums in f32 whatever Elem is. 16 KiB of workgroup memory.
//#params
alias Elem = f32;
const TILE = 128u;                                                  // rows and columns of C a workgroup makes
const STEP = 16u;                                                   // of k at a time
const UNROLL = 0u;                                                  // 1: a step is multiplied whole, for compilers to unroll
//#end
alias Elem4 = vec4<Elem>;
//#use activation fours foursBlock share tile
const ROWS = TILE;
const COLUMNS = TILE;
const DEPTH = STEP;
struct Uniforms { origin: vec3u, batch: u32, batchA: u32, batchB: u32, m: u32, n: u32, k: u32, splits: u32 }
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> a: array<Elem4>;           // [batchA, m, k]
@group(0) @binding(2) var<storage, read> b: array<Elem4>;           // [batchB, k, n]
@group(0) @binding(3) var<storage, read_write> c: array<Elem4>;     // [batch, m, n] //#if !parts
@group(0) @binding(4) var<storage, read> bias: array<Elem4>;        // [n] //#if bias
@group(0) @binding(5) var<storage, read> residual: array<Elem4>;    // [batch, m, n] //#if residual
@group(0) @binding(6) var<storage, read_write> parts: array<vec4f>; // [splits, batch, m, n] //#if parts

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) t: u32) {
  let wg = group + u.origin;
  let own = shareOf(wg.z);
  let n4 = u.n / 4u;
  let lane = t % 128u;
  let forA = t < 128u;
  let rowA = 4u * (lane / K4);                                      // of A's block in the tile
  let stepA = lane % K4;
  let stepB = lane / COLUMNS4;
  let columnB = lane % COLUMNS4;
  // Of 32 invocations side by side 4 × 8 have their places together: they read less than 2 × 16 would.
  let ty = t / 64u * 4u + t % 32u / 8u;
  let tx = t / 32u % 2u * 8u + t % 8u;
  var tile = Tile();
  let first = own.start / 4u;
  let end = (own.end + 3u) / 4u;                                    // vectors of k
  let steps = (own.end - own.start + STEP - 1u) / STEP;
  for (var at = 0u; at <= steps; at++) {
    // The block of step `at` is loaded while the staged one, of the step before, is multiplied.
    var next = mat4x4f();
    if (at < steps) {
      if (forA) { next = loadA(own.za, wg.y * TILE + rowA, first + at * K4 + stepA); }
      else { next = loadB(own.zb, min(first + at * K4 + stepB, end - 1u), min(wg.x * COLUMNS4 + columnB, n4 - 1u)); }
    }
    if (at > 0u) {
      let count = select(min(K4, end - first - (at - 1u) * K4), K4, UNROLL == 1u);
      tile = multiplyStep(tile, ty, tx, count);
    }
    workgroupBarrier();                                             // all have read the old slab
    if (at < steps) {
      if (forA) {
        tileRows[placeInRow(rowA, stepA)] = next[0];
        tileRows[placeInRow(rowA + 1u, stepA)] = next[1];
        tileRows[placeInRow(rowA + 2u, stepA)] = next[2];
        tileRows[placeInRow(rowA + 3u, stepA)] = next[3];
      } else {
        tileColumns[4u * stepB * COLUMNS4 + columnB] = next[0];
        tileColumns[(4u * stepB + 1u) * COLUMNS4 + columnB] = next[1];
        tileColumns[(4u * stepB + 2u) * COLUMNS4 + columnB] = next[2];
        tileColumns[(4u * stepB + 3u) * COLUMNS4 + columnB] = next[3];
      }
    }
    workgroupBarrier();                                             // the new slab is whole
  }
  let i = wg.y * TILE + ty;
  // A loop, so that the compiler meets one epilogue and not one for each row.
  var sums = sumsOf(tile);
  for (var r = 0u; r < 16u; r++) {
    let row = i + 16u * (r % 8u);
    let j4 = wg.x * COLUMNS4 + tx + 16u * (r / 8u);
    if (row < u.m && j4 < n4) { store(sums[r], j4, (wg.z * u.m + row) * n4 + j4); }
  }
}
