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
const ROWS = 16u;                                                   // of C in a workgroup, those of a block
const SG = 8u;                                                      // width of the subgroup, at least 4
//#end
alias Elem4 = vec4<Elem>;
//#use activation fours share block madd
struct Uniforms { origin: vec3u, batch: u32, batchA: u32, batchB: u32, m: u32, n: u32, k: u32, splits: u32 }
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> a: array<Elem4>;           // [batchA, m, k]
@group(0) @binding(2) var<storage, read> b: array<Elem4>;           // [batchB, k, n]
@group(0) @binding(3) var<storage, read_write> c: array<Elem4>;     // [batch, m, n] //#if !parts
@group(0) @binding(4) var<storage, read> bias: array<Elem4>;        // [n] //#if bias
@group(0) @binding(5) var<storage, read> residual: array<Elem4>;    // [batch, m, n] //#if residual
@group(0) @binding(6) var<storage, read_write> parts: array<vec4f>; // [splits, batch, m, n] //#if parts

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
  let own = shareOf(wg.z);
  let i = wg.y * ROWS;
  let n4 = u.n / 4u;
  let j4 = wg.x * SG + lane;
  let column = min(j4, n4 - 1u);                                    // every lane takes part in the broadcasts
  var sums: Block;
  for (var p = own.start / 4u; p < (own.end + 3u) / 4u; p++) {
    var held: Held;
    held[0] = loadA(own.za, i, slotOf(lane, 0u), p);
    if (VECTORS > 1u) { held[1u % VECTORS] = loadA(own.za, i, slotOf(lane, 1u), p); }
    if (VECTORS > 2u) {
      held[2u % VECTORS] = loadA(own.za, i, slotOf(lane, 2u), p);
      held[3u % VECTORS] = loadA(own.za, i, slotOf(lane, 3u), p);
    }
    let rows = loadB(own.zb, p, column);
    sums = gain(sums, held, rows);                                  //#if !ta
    sums = gainTransposed(sums, held, rows);                        //#if ta
  }
  if (j4 >= n4) { return; }
  // A loop, so that the compiler meets one epilogue and not one for each row.
  var list = rowsOf(sums);
  for (var r = 0u; r < min(ROWS, u.m - i); r++) { store(list[r], j4, (wg.z * u.m + i + r) * n4 + j4); }
}
