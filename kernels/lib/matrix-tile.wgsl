// A tile of a product by subgroup matrices: BM × BN sums in f32 of f16 factors.
//
//   workgroup   the tile
//   subgroup    64 × WN of that, in 16 × 16 matrices
//   step        32 of k, loaded while the step before is multiplied, and staged as halves in workgroup memory
//
// Rows of what is staged are an odd number of 16 bytes apart, so that no two rows of a matrix lie in the same banks. Matrices can neither
// be added to a bias nor become f16: the result passes through workgroup memory in strips of 16 rows.
//
// The template declares the constants BM, BN, WN, STAGES and SG, and
//   struct Task                     what its workgroup makes: i and j, the first row and column, and what else it needs
//   fromA(task, e) -> FromA         where vector e of every slab of A comes from, worked out once; fromB likewise
//   loadA(task, home, k0, e)        that vector of the slab at k0, zeros past the end of k; loadB, where anything finite may lie there
//   placeA, placeB, left, right     one of the two layouts below for each factor
//   finish(task, x, y, row, j8)     takes eight sums of a row of C, in columns 8 j8 and on; some lie past the edges
//#use matrix
const BK = 32u;
const LANES = BM / 64u * (BN / WN) * SG;
const A_LD = BK / 8u + 1u;                                          // from row to row of a staged A, in 16 bytes
const A_LDT = BM / 8u + 1u;                                         // of the transpose of A
const B_LD = BN / 8u + 1u;
const B_LDT = BK / 8u + 1u;
const SLAB = BM * A_LD + BN * B_LDT;                                // at least what the other layouts take
const STRIP_LD = WN / 4u + 1u;                                      // 16 rows of f32 for each subgroup
const STRIP = 16u * STRIP_LD;

var<workgroup> staged: array<vec4u, max(STAGES * SLAB, LANES / SG * STRIP)>;

// Where vector e of a slab is staged, and the factor in rows i, columns j and steps p and on of the slab at `base`. By rows a slab
// of A has 4 vectors in each row of m; by columns, BM / 8 in each row of k.
fn placeRowsA(e: u32) -> u32 { return e / 4u * A_LD + e % 4u; }
fn placeColumnsA(e: u32) -> u32 { return e / (BM / 8u) * A_LDT + e % (BM / 8u); }
fn leftRows(base: u32, i: u32, p: u32) -> L { return loadL(base + i * A_LD + p / 8u, A_LD); }
fn leftColumns(base: u32, i: u32, p: u32) -> L { return loadLT(base + p * A_LDT + i / 8u, A_LDT); }
// By rows a slab of B has BN / 8 vectors in each row of k; by columns, 4 in each row of n.
fn placeRowsB(e: u32) -> u32 { return BM * A_LD + e / (BN / 8u) * B_LD + e % (BN / 8u); }
fn placeColumnsB(e: u32) -> u32 { return BM * A_LD + e / 4u * B_LDT + e % 4u; }
fn rightRows(base: u32, j: u32, p: u32) -> R { return loadR(base + BM * A_LD + p * B_LD + j / 8u, B_LD); }
fn rightColumns(base: u32, j: u32, p: u32) -> R { return loadRT(base + BM * A_LD + j * B_LDT + p / 8u, B_LDT); }

// 16 rows of a subgroup's part, in f32, to its strip of workgroup memory.
fn storeStrip(subgroup: u32, c0: C, c1: C, c2: C, c3: C) {
  storeC(subgroup * STRIP, c0, STRIP_LD);
  storeC(subgroup * STRIP + 4u, c1, STRIP_LD);
  if (WN > 32u) {
    storeC(subgroup * STRIP + 8u, c2, STRIP_LD);
    storeC(subgroup * STRIP + 12u, c3, STRIP_LD);
  }
}

const A_EACH = BM * 4u / LANES;                                     // vectors of a slab that an invocation brings
const B_EACH = BN * 4u / LANES;
const_assert A_EACH >= 1u && A_EACH <= 4u && B_EACH >= 1u && B_EACH <= 4u;

// The tile of a task whose k is so many steps long.
fn makeTile(task: Task, place: Place, t: u32, steps: u32) {
  let subgroup = ownSubgroup(place, t);
  let top = subgroup / (BN / WN) * 64u;                             // of this subgroup's part of the tile
  let side = subgroup % (BN / WN) * WN;
  var c00: C; var c01: C; var c02: C; var c03: C;
  var c10: C; var c11: C; var c12: C; var c13: C;
  var c20: C; var c21: C; var c22: C; var c23: C;
  var c30: C; var c31: C; var c32: C; var c33: C;
  // What an invocation brings, and from where, by names: an array might not stay in registers.
  let fromA0 = fromA(task, t);
  let fromA1 = fromA(task, t + 1u * LANES);
  let fromA2 = fromA(task, t + 2u * LANES);
  let fromA3 = fromA(task, t + 3u * LANES);
  let fromB0 = fromB(task, t);
  let fromB1 = fromB(task, t + 1u * LANES);
  let fromB2 = fromB(task, t + 2u * LANES);
  let fromB3 = fromB(task, t + 3u * LANES);
  var a0: vec4u; var a1: vec4u; var a2: vec4u; var a3: vec4u;
  var b0: vec4u; var b1: vec4u; var b2: vec4u; var b3: vec4u;
  a0 = loadA(task, fromA0, 0u, t);
  if (A_EACH > 1u) { a1 = loadA(task, fromA1, 0u, t + 1u * LANES); }
  if (A_EACH > 2u) { a2 = loadA(task, fromA2, 0u, t + 2u * LANES); }
  if (A_EACH > 3u) { a3 = loadA(task, fromA3, 0u, t + 3u * LANES); }
  b0 = loadB(task, fromB0, 0u, t);
  if (B_EACH > 1u) { b1 = loadB(task, fromB1, 0u, t + 1u * LANES); }
  if (B_EACH > 2u) { b2 = loadB(task, fromB2, 0u, t + 2u * LANES); }
  if (B_EACH > 3u) { b3 = loadB(task, fromB3, 0u, t + 3u * LANES); }
  for (var step = 0u; step < steps; step++) {
    if (STAGES == 1u) { workgroupBarrier(); }                       // all have read the only slab
    staged[step % STAGES * SLAB + placeA(t)] = a0;
    if (A_EACH > 1u) { staged[step % STAGES * SLAB + placeA(t + 1u * LANES)] = a1; }
    if (A_EACH > 2u) { staged[step % STAGES * SLAB + placeA(t + 2u * LANES)] = a2; }
    if (A_EACH > 3u) { staged[step % STAGES * SLAB + placeA(t + 3u * LANES)] = a3; }
    staged[step % STAGES * SLAB + placeB(t)] = b0;
    if (B_EACH > 1u) { staged[step % STAGES * SLAB + placeB(t + 1u * LANES)] = b1; }
    if (B_EACH > 2u) { staged[step % STAGES * SLAB + placeB(t + 2u * LANES)] = b2; }
    if (B_EACH > 3u) { staged[step % STAGES * SLAB + placeB(t + 3u * LANES)] = b3; }
    workgroupBarrier();                                             // the slab is whole; of two, the other has been read
    if (step + 1u < steps) {
      let next = (step + 1u) * BK;
      a0 = loadA(task, fromA0, next, t);
      if (A_EACH > 1u) { a1 = loadA(task, fromA1, next, t + 1u * LANES); }
      if (A_EACH > 2u) { a2 = loadA(task, fromA2, next, t + 2u * LANES); }
      if (A_EACH > 3u) { a3 = loadA(task, fromA3, next, t + 3u * LANES); }
      b0 = loadB(task, fromB0, next, t);
      if (B_EACH > 1u) { b1 = loadB(task, fromB1, next, t + 1u * LANES); }
      if (B_EACH > 2u) { b2 = loadB(task, fromB2, next, t + 2u * LANES); }
      if (B_EACH > 3u) { b3 = loadB(task, fromB3, next, t + 3u * LANES); }
    }
    for (var p = 0u; p < ended(BK); p += 16u) {
      let r0 = right(step % STAGES * SLAB, side, p);
      let r1 = right(step % STAGES * SLAB, side + 16u, p);
      let r2 = right(step % STAGES * SLAB, side + 32u % WN, p);     // these two are used where WN is 64
      let r3 = right(step % STAGES * SLAB, side + 48u % WN, p);
      let l0 = left(step % STAGES * SLAB, top, p);
      c00 = mma(l0, r0, c00);
      c01 = mma(l0, r1, c01);
      if (WN > 32u) {
        c02 = mma(l0, r2, c02);
        c03 = mma(l0, r3, c03);
      }
      let l1 = left(step % STAGES * SLAB, top + 16u, p);
      c10 = mma(l1, r0, c10);
      c11 = mma(l1, r1, c11);
      if (WN > 32u) {
        c12 = mma(l1, r2, c12);
        c13 = mma(l1, r3, c13);
      }
      let l2 = left(step % STAGES * SLAB, top + 32u, p);
      c20 = mma(l2, r0, c20);
      c21 = mma(l2, r1, c21);
      if (WN > 32u) {
        c22 = mma(l2, r2, c22);
        c23 = mma(l2, r3, c23);
      }
      let l3 = left(step % STAGES * SLAB, top + 48u, p);
      c30 = mma(l3, r0, c30);
      c31 = mma(l3, r1, c31);
      if (WN > 32u) {
        c32 = mma(l3, r2, c32);
        c33 = mma(l3, r3, c33);
      }
    }
  }
  // A loop, so that the compiler meets one epilogue and not one for each strip.
  for (var strip = 0u; strip < ended(4u); strip++) {
    workgroupBarrier();                                             // all have read what lies there
    if (strip == 0u) { storeStrip(subgroup, c00, c01, c02, c03); }
    if (strip == 1u) { storeStrip(subgroup, c10, c11, c12, c13); }
    if (strip == 2u) { storeStrip(subgroup, c20, c21, c22, c23); }
    if (strip == 3u) { storeStrip(subgroup, c30, c31, c32, c33); }
    workgroupBarrier();                                             // the strips are whole
    for (var e = t; e < LANES / SG * 2u * WN; e += LANES) {
      let part = e / (2u * WN);
      let r = e % (2u * WN) / (WN / 8u);
      let q = e % (WN / 8u);
      let row = task.i + part / (BN / WN) * 64u + strip * 16u + r;
      let j8 = (task.j + part % (BN / WN) * WN) / 8u + q;
      let held = part * STRIP + r * STRIP_LD + 2u * q;
      finish(task, bitcast<vec4f>(staged[held]), bitcast<vec4f>(staged[held + 1u]), row, j8);
    }
  }
}
