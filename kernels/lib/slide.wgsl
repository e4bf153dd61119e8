// A row of a depthwise convolution for 8 neighbouring pixels × 4 channels: they share most of their inputs, so a window of 8 slides along the
// row, and every input is read once. The template declares FW, the width of the filter, and
//   inputAt(line, column, c4)   four channels of the input in a column, zeros outside of the image
//   weightAt(ky, k, c4)         of the filter at the k-th column of the window
struct Eight { a: vec4f, b: vec4f, c: vec4f, d: vec4f, e: vec4f, f: vec4f, g: vec4f, h: vec4f }

// What row `ky` of the filter adds to the sums of the pixels whose window begins at `column`.
fn slideRow(before: Eight, line: u32, column: u32, ky: u32, c4: u32) -> Eight {
  var s = before;
  var v0 = inputAt(line, column, c4);
  var v1 = inputAt(line, column + 1u, c4);
  var v2 = inputAt(line, column + 2u, c4);
  var v3 = inputAt(line, column + 3u, c4);
  var v4 = inputAt(line, column + 4u, c4);
  var v5 = inputAt(line, column + 5u, c4);
  var v6 = inputAt(line, column + 6u, c4);
  for (var k = 0u; k < FW; k++) {
    let v7 = inputAt(line, column + k + 7u, c4);
    let p = weightAt(ky, k, c4);
    s.a += v0 * p;
    s.b += v1 * p;
    s.c += v2 * p;
    s.d += v3 * p;
    s.e += v4 * p;
    s.f += v5 * p;
    s.g += v6 * p;
    s.h += v7 * p;
    v0 = v1;
    v1 = v2;
    v2 = v3;
    v3 = v4;
    v4 = v5;
    v5 = v6;
    v6 = v7;
  }
  return s;
}
