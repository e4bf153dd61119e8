// C = act(A · B + bias) + residual, with neither workgroup memory nor barriers nor subgroups.
//
//   workgroup   8 ROWS rows and 32 columns of C
//   invocation  ROWS rows and 4 columns of that, in registers
//   step        4 of k: a vector of A for each row, four of B
//
// Needs sizes in fours (see `legal`). Sums in f32 whatever Elem is.
//#params
alias Elem = f32;
const ROWS = 8u;                                                    // 8, or 4 for narrow A
//#end
alias Elem4 = vec4<Elem>;
//#use activation fours share madd
struct Uniforms { origin: vec3u, batch: u32, batchA: u32, batchB: u32, m: u32, n: u32, k: u32, splits: u32 }
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> a: array<Elem4>;           // [batchA, m, k]
@group(0) @binding(2) var<storage, read> b: array<Elem4>;           // [batchB, k, n]
@group(0) @binding(3) var<storage, read_write> c: array<Elem4>;     // [batch, m, n] //#if !parts
@group(0) @binding(4) var<storage, read> bias: array<Elem4>;        // [n] //#if bias
@group(0) @binding(5) var<storage, read> residual: array<Elem4>;    // [batch, m, n] //#if residual
@group(0) @binding(6) var<storage, read_write> parts: array<vec4f>; // [splits, batch, m, n] //#if parts

// Row i of A, steps 4 p to 4 p + 3 of k.
fn loadA(z: u32, i: u32, p: u32) -> vec4f {
  return vec4f(a[(z * u.m + min(i, u.m - 1u)) * (u.k / 4u) + p]);
}
// Rows i to i + 3 of A, steps 4 p to 4 p + 3 of k, out of its transpose; zeros past the end of k.
fn loadTransposed(z: u32, i: u32, p: u32) -> mat4x4f {
  let m4 = u.m / 4u;
  let column = min(i / 4u, m4 - 1u);
  let row = 4u * p;
  let last = u.k - 1u;
  let x0 = vec4f(a[(z * u.k + row) * m4 + column]);
  let x1 = vec4f(a[(z * u.k + min(row + 1u, last)) * m4 + column]);
  let x2 = vec4f(a[(z * u.k + min(row + 2u, last)) * m4 + column]);
  let x3 = vec4f(a[(z * u.k + min(row + 3u, last)) * m4 + column]);
  let o = vec4f();
  return transpose(mat4x4f(x0, select(o, x1, row + 1u < u.k), select(o, x2, row + 2u < u.k), select(o, x3, row + 3u < u.k)));
}

@compute @workgroup_size(8, 8)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) local: vec3u) {
  let wg = group + u.origin;
  let own = shareOf(wg.z);
  let i = (wg.y * 8u + local.y) * ROWS;
  let n4 = u.n / 4u;
  let j4 = wg.x * 8u + local.x;
  if (i >= u.m || j4 >= n4) { return; }
  var s0 = vec4f();
  var s1 = vec4f();
  var s2 = vec4f();
  var s3 = vec4f();
  var s4 = vec4f();
  var s5 = vec4f();
  var s6 = vec4f();
  var s7 = vec4f();
  for (var p = own.start / 4u; p < (own.end + 3u) / 4u; p++) {
    let rows = loadB(own.zb, p, j4);
    let b0 = rows[0];
    let b1 = rows[1];
    let b2 = rows[2];
    let b3 = rows[3];
    //#if !ta
    s0 = madd(loadA(own.za, i + 0u, p), b0, b1, b2, b3, s0);
    s1 = madd(loadA(own.za, i + 1u, p), b0, b1, b2, b3, s1);
    s2 = madd(loadA(own.za, i + 2u, p), b0, b1, b2, b3, s2);
    s3 = madd(loadA(own.za, i + 3u, p), b0, b1, b2, b3, s3);
    if (ROWS > 4u) {
      s4 = madd(loadA(own.za, i + 4u, p), b0, b1, b2, b3, s4);
      s5 = madd(loadA(own.za, i + 5u, p), b0, b1, b2, b3, s5);
      s6 = madd(loadA(own.za, i + 6u, p), b0, b1, b2, b3, s6);
      s7 = madd(loadA(own.za, i + 7u, p), b0, b1, b2, b3, s7);
    }
    //#endif
    //#if ta
    let upper = loadTransposed(own.za, i, p);
    s0 = madd(upper[0], b0, b1, b2, b3, s0);
    s1 = madd(upper[1], b0, b1, b2, b3, s1);
    s2 = madd(upper[2], b0, b1, b2, b3, s2);
    s3 = madd(upper[3], b0, b1, b2, b3, s3);
    if (ROWS > 4u) {
      let lower = loadTransposed(own.za, i + 4u, p);
      s4 = madd(lower[0], b0, b1, b2, b3, s4);
      s5 = madd(lower[1], b0, b1, b2, b3, s5);
      s6 = madd(lower[2], b0, b1, b2, b3, s6);
      s7 = madd(lower[3], b0, b1, b2, b3, s7);
    }
    //#endif
  }
  // A loop, so that the compiler meets one epilogue and not one for each row.
  var sums = array<vec4f, 8>(s0, s1, s2, s3, s4, s5, s6, s7);
  for (var r = 0u; r < min(ROWS, u.m - i); r++) { store(sums[r], j4, (wg.z * u.m + i + r) * n4 + j4); }
}
