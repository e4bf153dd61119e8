// A tile of a product of matrices in registers, staged step by step through workgroup memory.
//
//   workgroup   128 rows × COLUMNS columns
//   invocation  8 rows 16 apart × 2 groups of 4 columns, COLUMNS / 2 apart
//   step        DEPTH = 16 of the inner dimension
//
// The vectors of a row are staged in turned places, so that rows that are read together lie in different banks. The template declares the
// constants ROWS, COLUMNS and DEPTH.
//#use madd
const K4 = DEPTH / 4u;                                              // vectors of a row in a step
const COLUMNS4 = COLUMNS / 4u;
const_assert ROWS == 128u && DEPTH == 16u;
struct Tile { a0: vec4f, a1: vec4f, a2: vec4f, a3: vec4f, a4: vec4f, a5: vec4f, a6: vec4f, a7: vec4f, b0: vec4f, b1: vec4f, b2: vec4f, b3: vec4f, b4: vec4f, b5: vec4f, b6: vec4f, b7: vec4f }

var<workgroup> tileRows: array<vec4f, ROWS * K4>;                       // [ROWS, K4] vectors along the inner dimension
var<workgroup> tileColumns: array<vec4f, DEPTH * COLUMNS4>;             // [DEPTH, COLUMNS4] vectors along the columns

// Where vector p of a row is staged.
fn placeInRow(row: u32, p: u32) -> u32 { return row * K4 + (p ^ (row / 2u % 4u)); }

// The tile of the invocation at (tx, ty) with the first `count` vectors of the staged step added.
fn multiplyStep(tile: Tile, ty: u32, tx: u32, count: u32) -> Tile {
  let turn = ty / 2u % 4u;
  var s = tile;
  for (var p = 0u; p < count; p++) {
    let b0 = tileColumns[4u * p * COLUMNS4 + tx];
    let b1 = tileColumns[(4u * p + 1u) * COLUMNS4 + tx];
    let b2 = tileColumns[(4u * p + 2u) * COLUMNS4 + tx];
    let b3 = tileColumns[(4u * p + 3u) * COLUMNS4 + tx];
    let d0 = tileColumns[4u * p * COLUMNS4 + tx + COLUMNS4 / 2u];
    let d1 = tileColumns[(4u * p + 1u) * COLUMNS4 + tx + COLUMNS4 / 2u];
    let d2 = tileColumns[(4u * p + 2u) * COLUMNS4 + tx + COLUMNS4 / 2u];
    let d3 = tileColumns[(4u * p + 3u) * COLUMNS4 + tx + COLUMNS4 / 2u];
    let a0 = tileRows[ty * K4 + (p ^ turn)];
    s.a0 = madd(a0, b0, b1, b2, b3, s.a0);
    s.b0 = madd(a0, d0, d1, d2, d3, s.b0);
    let a1 = tileRows[(ty + 16u) * K4 + (p ^ turn)];
    s.a1 = madd(a1, b0, b1, b2, b3, s.a1);
    s.b1 = madd(a1, d0, d1, d2, d3, s.b1);
    let a2 = tileRows[(ty + 32u) * K4 + (p ^ turn)];
    s.a2 = madd(a2, b0, b1, b2, b3, s.a2);
    s.b2 = madd(a2, d0, d1, d2, d3, s.b2);
    let a3 = tileRows[(ty + 48u) * K4 + (p ^ turn)];
    s.a3 = madd(a3, b0, b1, b2, b3, s.a3);
    s.b3 = madd(a3, d0, d1, d2, d3, s.b3);
    let a4 = tileRows[(ty + 64u) * K4 + (p ^ turn)];
    s.a4 = madd(a4, b0, b1, b2, b3, s.a4);
    s.b4 = madd(a4, d0, d1, d2, d3, s.b4);
    let a5 = tileRows[(ty + 80u) * K4 + (p ^ turn)];
    s.a5 = madd(a5, b0, b1, b2, b3, s.a5);
    s.b5 = madd(a5, d0, d1, d2, d3, s.b5);
    let a6 = tileRows[(ty + 96u) * K4 + (p ^ turn)];
    s.a6 = madd(a6, b0, b1, b2, b3, s.a6);
    s.b6 = madd(a6, d0, d1, d2, d3, s.b6);
    let a7 = tileRows[(ty + 112u) * K4 + (p ^ turn)];
    s.a7 = madd(a7, b0, b1, b2, b3, s.a7);
    s.b7 = madd(a7, d0, d1, d2, d3, s.b7);
  }
  return s;
}

// The sums of a tile: the first group of columns by rows, then the second.
fn sumsOf(s: Tile) -> array<vec4f, 16> {
  return array<vec4f, 16>(s.a0, s.a1, s.a2, s.a3, s.a4, s.a5, s.a6, s.a7, s.b0, s.b1, s.b2, s.b3, s.b4, s.b5, s.b6, s.b7);
}
