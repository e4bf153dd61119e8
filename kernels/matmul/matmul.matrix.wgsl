// C = act(A · B + bias) + residual for f16 with subgroup matrices, sums in f32.
//
//   workgroup   one BM × BN tile of C
//   subgroup    64 × WN of that, in 16 × 16 matrices
//   step        32 of k, loaded while the step before is multiplied, and staged as halves in workgroup memory
//
// Rows of what is staged are an odd number of 16 bytes apart, so that no two rows of a matrix lie in the same banks. Matrices can neither
// be added to a bias nor become f16: the result passes through workgroup memory in strips of 16 rows. Sizes in eights (see `legal`).
//#params
alias Elem = f32;
const BM = 64u;                                                     // rows and columns of C a workgroup makes
const BN = 64u;
const WN = 32u;                                                     // columns of C a subgroup makes: 32 or 64
const STAGES = 2u;                                                  // slabs in workgroup memory: with two, one barrier a step
const SG = 32u;                                                     // width of the subgroup
//#end
//#use activation eight matrix
alias Elem8 = vec4u;                                                // eight halves
const BK = 32u;
const LANES = BM / 64u * (BN / WN) * SG;
const A_LD = BK / 8u + 1u;                                          // from row to row of a staged A, in 16 bytes
const A_LDT = BM / 8u + 1u;                                         // of the transpose of A
const B_LD = BN / 8u + 1u;
const B_LDT = BK / 8u + 1u;
const SLAB = BM * A_LD + BN * B_LDT;                                // at least what the other layouts take
const STRIP_LD = WN / 4u + 1u;                                      // 16 rows of f32 for each subgroup
const STRIP = 16u * STRIP_LD;
struct Uniforms { origin: vec3u, batch: u32, batchA: u32, batchB: u32, m: u32, n: u32, k: u32 }
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> a: array<Elem8>;           // [batchA, m, k]
@group(0) @binding(2) var<storage, read> b: array<Elem8>;           // [batchB, k, n]
@group(0) @binding(3) var<storage, read_write> c: array<Elem8>;     // [batch, m, n]
@group(0) @binding(4) var<storage, read> bias: array<Elem8>;        // [n] //#if bias
@group(0) @binding(5) var<storage, read> residual: array<Elem8>;    // [batch, m, n] //#if residual

var<workgroup> staged: array<vec4u, max(STAGES * SLAB, LANES / SG * STRIP)>;

// Eight neighbours of C, number `at` of all, in columns 8 j8 and on.
fn store(first: vec4f, second: vec4f, j8: u32, at: u32) {
  var x = first;
  var y = second;
  x += low4(bias[j8]);                                              //#if bias
  y += high4(bias[j8]);                                             //#if bias
  x = relu4(x);                                                     //#if relu
  y = relu4(y);                                                     //#if relu
  x = gelu4(x);                                                     //#if gelu
  y = gelu4(y);                                                     //#if gelu
  x = silu4(x);                                                     //#if silu
  y = silu4(y);                                                     //#if silu
  x += low4(residual[at]);                                          //#if residual
  y += high4(residual[at]);                                         //#if residual
  c[at] = pack8(x, y);
}

// Vector e of the slab of A at k0: 4 a row along k, or BM / 8 a row of the transpose. Zeros past the end of k.
fn loadA(z: u32, i: u32, k0: u32, e: u32) -> vec4u {
  let k8 = u.k / 8u;
  let p8 = k0 / 8u + e % 4u;
  var at = (z * u.m + min(i + e / 4u, u.m - 1u)) * k8 + p8;
  var inside = p8 < k8;
  let p = k0 + e / (BM / 8u);                                       //#if ta
  at = (z * u.k + p) * (u.m / 8u) + min(i / 8u + e % (BM / 8u), u.m / 8u - 1u); //#if ta
  inside = p < u.k;                                                 //#if ta
  var x = vec4u();
  if (inside) { x = a[at]; }
  return x;
}

// Vector e of the slab of B at k0: BN / 8 a row, or 4 a row of the transpose. What lies past the end of k meets zeros of A.
fn loadB(z: u32, j: u32, k0: u32, e: u32) -> vec4u {
  var at = (z * u.k + min(k0 + e / (BN / 8u), u.k - 1u)) * (u.n / 8u) + min(j / 8u + e % (BN / 8u), u.n / 8u - 1u);
  at = (z * u.n + min(j + e / 4u, u.n - 1u)) * (u.k / 8u) + min(k0 / 8u + e % 4u, u.k / 8u - 1u); //#if tb
  return b[at];
}

// Where vector e of a slab is staged.
fn placeA(e: u32) -> u32 {
  var at = e / 4u * A_LD + e % 4u;
  at = e / (BM / 8u) * A_LDT + e % (BM / 8u);                       //#if ta
  return at;
}
fn placeB(e: u32) -> u32 {
  var at = e / (BN / 8u) * B_LD + e % (BN / 8u);
  at = e / 4u * B_LDT + e % 4u;                                     //#if tb
  return BM * A_LD + at;
}

// Rows i and columns j of the tile, at p of the slab that begins at `base`.
fn left(base: u32, i: u32, p: u32) -> L {
  var l: L;
  l = loadL(base + i * A_LD + p / 8u, A_LD);                        //#if !ta
  l = loadLT(base + p * A_LDT + i / 8u, A_LDT);                     //#if ta
  return l;
}
fn right(base: u32, j: u32, p: u32) -> R {
  var r: R;
  r = loadR(base + BM * A_LD + p * B_LD + j / 8u, B_LD);            //#if !tb
  r = loadRT(base + BM * A_LD + j * B_LDT + p / 8u, B_LDT);         //#if tb
  return r;
}

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

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) t: u32, place: Place) {
  let wg = group + u.origin;
  let za = select(wg.z, 0u, u.batchA == 1u);
  let zb = select(wg.z, 0u, u.batchB == 1u);
  let subgroup = ownSubgroup(place, t);
  let i = wg.y * BM;
  let j = wg.x * BN;
  let top = subgroup / (BN / WN) * 64u;                             // of this subgroup's part of the tile
  let side = subgroup % (BN / WN) * WN;
  var c00: C; var c01: C; var c02: C; var c03: C;
  var c10: C; var c11: C; var c12: C; var c13: C;
  var c20: C; var c21: C; var c22: C; var c23: C;
  var c30: C; var c31: C; var c32: C; var c33: C;
  // What an invocation brings, by names: an array might not stay in registers.
  var a0: vec4u; var a1: vec4u; var a2: vec4u; var a3: vec4u;
  var b0: vec4u; var b1: vec4u; var b2: vec4u; var b3: vec4u;
  a0 = loadA(za, i, 0u, t);
  if (A_EACH > 1u) { a1 = loadA(za, i, 0u, t + 1u * LANES); }
  if (A_EACH > 2u) { a2 = loadA(za, i, 0u, t + 2u * LANES); }
  if (A_EACH > 3u) { a3 = loadA(za, i, 0u, t + 3u * LANES); }
  b0 = loadB(zb, j, 0u, t);
  if (B_EACH > 1u) { b1 = loadB(zb, j, 0u, t + 1u * LANES); }
  if (B_EACH > 2u) { b2 = loadB(zb, j, 0u, t + 2u * LANES); }
  if (B_EACH > 3u) { b3 = loadB(zb, j, 0u, t + 3u * LANES); }
  let steps = (u.k + BK - 1u) / BK;
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
      a0 = loadA(za, i, next, t);
      if (A_EACH > 1u) { a1 = loadA(za, i, next, t + 1u * LANES); }
      if (A_EACH > 2u) { a2 = loadA(za, i, next, t + 2u * LANES); }
      if (A_EACH > 3u) { a3 = loadA(za, i, next, t + 3u * LANES); }
      b0 = loadB(zb, j, next, t);
      if (B_EACH > 1u) { b1 = loadB(zb, j, next, t + 1u * LANES); }
      if (B_EACH > 2u) { b2 = loadB(zb, j, next, t + 2u * LANES); }
      if (B_EACH > 3u) { b3 = loadB(zb, j, next, t + 3u * LANES); }
    }
    for (var p = 0u; p < BK; p += 16u) {
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
  for (var strip = 0u; strip < 4u; strip++) {
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
      let row = i + part / (BN / WN) * 64u + strip * 16u + r;
      let j8 = (j + part % (BN / WN) * WN) / 8u + q;
      let held = part * STRIP + r * STRIP_LD + 2u * q;
      if (row < u.m && j8 < u.n / 8u) {
        store(bitcast<vec4f>(staged[held]), bitcast<vec4f>(staged[held + 1u]), j8, (wg.z * u.m + row) * (u.n / 8u) + j8);
      }
    }
  }
}
