// C = act(A · B + bias) + residual, with neither workgroup memory nor barriers.
//
//   workgroup   one subgroup: 16 rows and 4 SG columns of C
//   invocation  16 rows and 4 columns of that, in registers
//   step        4 of k: the subgroup loads its 16 × 4 elements of A once, a vector a lane, and passes them on by broadcast
//
// Needs sizes in fours (see `legal`). Sums in f32 whatever Elem is.
enable subgroups;
//#params
alias Elem = f32;
const ROWS = 16u;                                                   // of C in a workgroup, written out below
const SG = 8u;                                                      // width of the subgroup, at least 4
//#end
alias Elem4 = vec4<Elem>;
//#use activation madd
const VECTORS = (16u + SG - 1u) / SG;                               // vectors of A a lane holds
struct Uniforms { origin: vec3u, batch: u32, batchA: u32, batchB: u32, m: u32, n: u32, k: u32 }
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> a: array<Elem4>;           // [batchA, m, k]
@group(0) @binding(2) var<storage, read> b: array<Elem4>;           // [batchB, k, n]
@group(0) @binding(3) var<storage, read_write> c: array<Elem4>;     // [batch, m, n]
@group(0) @binding(4) var<storage, read> bias: array<Elem4>;        // [n] //#if bias
@group(0) @binding(5) var<storage, read> residual: array<Elem4>;    // [batch, m, n] //#if residual

// Four neighbours of C, number `at` of all, in columns 4 j4 and on.
fn store(sum: vec4f, j4: u32, at: u32) {
  var y = sum;
  y += vec4f(bias[j4]);                                             //#if bias
  y = relu4(y);                                                     //#if relu
  y = gelu4(y);                                                     //#if gelu
  y = silu4(y);                                                     //#if silu
  y += vec4f(residual[at]);                                         //#if residual
  c[at] = Elem4(y);
}

// Rows 4 p to 4 p + 3 of B in columns 4 j4 to 4 j4 + 3, column by column where B is stored as its transpose.
fn loadB(z: u32, p: u32, j4: u32) -> mat4x4f {
  var rows = mat4x4f();
  //#if !tb
  {
    let n4 = u.n / 4u;
    let row = z * u.k + 4u * p;
    let last = z * u.k + u.k - 1u;                                  // rows past the end meet zeros of A
    rows = mat4x4f(vec4f(b[min(row, last) * n4 + j4]), vec4f(b[min(row + 1u, last) * n4 + j4]),
      vec4f(b[min(row + 2u, last) * n4 + j4]), vec4f(b[min(row + 3u, last) * n4 + j4]));
  }
  //#endif
  //#if tb
  {
    let k4 = u.k / 4u;
    let at = (z * u.n + 4u * j4) * k4 + p;
    rows = transpose(mat4x4f(vec4f(b[at]), vec4f(b[at + k4]), vec4f(b[at + 2u * k4]), vec4f(b[at + 3u * k4])));
  }
  //#endif
  return rows;
}

// Vector `slot` of 16 of A at step p: row `slot` along k, or of the transpose row slot / 4 of k, four of m.
fn loadA(z: u32, i: u32, slot: u32, p: u32) -> vec4f {
  var at = (z * u.m + min(i + slot, u.m - 1u)) * (u.k / 4u) + p;
  let row = 4u * p + slot / 4u;                                     //#if ta
  at = (z * u.k + min(row, u.k - 1u)) * (u.m / 4u) + min(i / 4u + slot % 4u, u.m / 4u - 1u); //#if ta
  var x = vec4f(a[at]);
  x = select(vec4f(), x, row < u.k);                                //#if ta
  return x;
}

@compute @workgroup_size(SG)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(subgroup_invocation_id) lane: u32) {
  let wg = group + u.origin;
  let za = select(wg.z, 0u, u.batchA == 1u);
  let zb = select(wg.z, 0u, u.batchB == 1u);
  let i = wg.y * ROWS;
  let n4 = u.n / 4u;
  let j4 = wg.x * SG + lane;
  let column = min(j4, n4 - 1u);                                    // every lane takes part in the broadcasts
  var s0 = vec4f();
  var s1 = vec4f();
  var s2 = vec4f();
  var s3 = vec4f();
  var s4 = vec4f();
  var s5 = vec4f();
  var s6 = vec4f();
  var s7 = vec4f();
  var s8 = vec4f();
  var s9 = vec4f();
  var s10 = vec4f();
  var s11 = vec4f();
  var s12 = vec4f();
  var s13 = vec4f();
  var s14 = vec4f();
  var s15 = vec4f();
  var held: array<vec4f, VECTORS>;
  for (var p = 0u; p < (u.k + 3u) / 4u; p++) {
    held[0] = loadA(za, i, lane % 16u, p);
    if (SG < 16u) { held[1u % VECTORS] = loadA(za, i, (lane + SG) % 16u, p); }
    if (SG < 8u) {
      held[2u % VECTORS] = loadA(za, i, lane + 8u, p);
      held[3u % VECTORS] = loadA(za, i, lane + 12u, p);
    }
    // A subgroup is at least 4 wide, so that four slots always lie in one vector.
    let v0 = held[0];
    let v1 = held[4u / SG];
    let v2 = held[8u / SG];
    let v3 = held[12u / SG];
    let rows = loadB(zb, p, column);
    let b0 = rows[0];
    let b1 = rows[1];
    let b2 = rows[2];
    let b3 = rows[3];
    //#if !ta
    s0 = madd(subgroupBroadcast(v0, 0u % SG), b0, b1, b2, b3, s0);
    s1 = madd(subgroupBroadcast(v0, 1u % SG), b0, b1, b2, b3, s1);
    s2 = madd(subgroupBroadcast(v0, 2u % SG), b0, b1, b2, b3, s2);
    s3 = madd(subgroupBroadcast(v0, 3u % SG), b0, b1, b2, b3, s3);
    s4 = madd(subgroupBroadcast(v1, 4u % SG), b0, b1, b2, b3, s4);
    s5 = madd(subgroupBroadcast(v1, 5u % SG), b0, b1, b2, b3, s5);
    s6 = madd(subgroupBroadcast(v1, 6u % SG), b0, b1, b2, b3, s6);
    s7 = madd(subgroupBroadcast(v1, 7u % SG), b0, b1, b2, b3, s7);
    s8 = madd(subgroupBroadcast(v2, 8u % SG), b0, b1, b2, b3, s8);
    s9 = madd(subgroupBroadcast(v2, 9u % SG), b0, b1, b2, b3, s9);
    s10 = madd(subgroupBroadcast(v2, 10u % SG), b0, b1, b2, b3, s10);
    s11 = madd(subgroupBroadcast(v2, 11u % SG), b0, b1, b2, b3, s11);
    s12 = madd(subgroupBroadcast(v3, 12u % SG), b0, b1, b2, b3, s12);
    s13 = madd(subgroupBroadcast(v3, 13u % SG), b0, b1, b2, b3, s13);
    s14 = madd(subgroupBroadcast(v3, 14u % SG), b0, b1, b2, b3, s14);
    s15 = madd(subgroupBroadcast(v3, 15u % SG), b0, b1, b2, b3, s15);
    //#endif
    //#if ta
    {
      let x0 = subgroupBroadcast(v0, 0u % SG);                        // rows 0 to 3 of C at k = 4 p + 0
      let x1 = subgroupBroadcast(v1, 4u % SG);                        // rows 0 to 3 of C at k = 4 p + 1
      let x2 = subgroupBroadcast(v2, 8u % SG);                        // rows 0 to 3 of C at k = 4 p + 2
      let x3 = subgroupBroadcast(v3, 12u % SG);                        // rows 0 to 3 of C at k = 4 p + 3
      s0 = madd(vec4f(x0.x, x1.x, x2.x, x3.x), b0, b1, b2, b3, s0);
      s1 = madd(vec4f(x0.y, x1.y, x2.y, x3.y), b0, b1, b2, b3, s1);
      s2 = madd(vec4f(x0.z, x1.z, x2.z, x3.z), b0, b1, b2, b3, s2);
      s3 = madd(vec4f(x0.w, x1.w, x2.w, x3.w), b0, b1, b2, b3, s3);
    }
    {
      let x0 = subgroupBroadcast(v0, 1u % SG);                        // rows 4 to 7 of C at k = 4 p + 0
      let x1 = subgroupBroadcast(v1, 5u % SG);                        // rows 4 to 7 of C at k = 4 p + 1
      let x2 = subgroupBroadcast(v2, 9u % SG);                        // rows 4 to 7 of C at k = 4 p + 2
      let x3 = subgroupBroadcast(v3, 13u % SG);                        // rows 4 to 7 of C at k = 4 p + 3
      s4 = madd(vec4f(x0.x, x1.x, x2.x, x3.x), b0, b1, b2, b3, s4);
      s5 = madd(vec4f(x0.y, x1.y, x2.y, x3.y), b0, b1, b2, b3, s5);
      s6 = madd(vec4f(x0.z, x1.z, x2.z, x3.z), b0, b1, b2, b3, s6);
      s7 = madd(vec4f(x0.w, x1.w, x2.w, x3.w), b0, b1, b2, b3, s7);
    }
    {
      let x0 = subgroupBroadcast(v0, 2u % SG);                        // rows 8 to 11 of C at k = 4 p + 0
      let x1 = subgroupBroadcast(v1, 6u % SG);                        // rows 8 to 11 of C at k = 4 p + 1
      let x2 = subgroupBroadcast(v2, 10u % SG);                        // rows 8 to 11 of C at k = 4 p + 2
      let x3 = subgroupBroadcast(v3, 14u % SG);                        // rows 8 to 11 of C at k = 4 p + 3
      s8 = madd(vec4f(x0.x, x1.x, x2.x, x3.x), b0, b1, b2, b3, s8);
      s9 = madd(vec4f(x0.y, x1.y, x2.y, x3.y), b0, b1, b2, b3, s9);
      s10 = madd(vec4f(x0.z, x1.z, x2.z, x3.z), b0, b1, b2, b3, s10);
      s11 = madd(vec4f(x0.w, x1.w, x2.w, x3.w), b0, b1, b2, b3, s11);
    }
    {
      let x0 = subgroupBroadcast(v0, 3u % SG);                        // rows 12 to 15 of C at k = 4 p + 0
      let x1 = subgroupBroadcast(v1, 7u % SG);                        // rows 12 to 15 of C at k = 4 p + 1
      let x2 = subgroupBroadcast(v2, 11u % SG);                        // rows 12 to 15 of C at k = 4 p + 2
      let x3 = subgroupBroadcast(v3, 15u % SG);                        // rows 12 to 15 of C at k = 4 p + 3
      s12 = madd(vec4f(x0.x, x1.x, x2.x, x3.x), b0, b1, b2, b3, s12);
      s13 = madd(vec4f(x0.y, x1.y, x2.y, x3.y), b0, b1, b2, b3, s13);
      s14 = madd(vec4f(x0.z, x1.z, x2.z, x3.z), b0, b1, b2, b3, s14);
      s15 = madd(vec4f(x0.w, x1.w, x2.w, x3.w), b0, b1, b2, b3, s15);
    }
    //#endif
  }
  if (j4 >= n4) { return; }
  // A loop, so that the compiler meets one epilogue and not one for each row.
  var sums = array<vec4f, ROWS>(s0, s1, s2, s3, s4, s5, s6, s7, s8, s9, s10, s11, s12, s13, s14, s15);
  for (var r = 0u; r < min(ROWS, u.m - i); r++) { store(sums[r], j4, (wg.z * u.m + i + r) * n4 + j4); }
}
