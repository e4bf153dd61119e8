// Rows of a matrix spread over a subgroup of 4 or 8 lanes: lane l holds the vec4s l, l + WIDTH, l + 2·WIDTH and l + 3·WIDTH of
// each row, and a subgroup works on WIDTH rows at once. Written without arrays: software adapters keep arrays in memory.
// The template has `enable subgroups`, the constants WIDTH (4 or 8) and PARTS (vec4s a lane, at most 4), and `u.d`, the columns.
struct Row { a: vec4f, b: vec4f, c: vec4f, d: vec4f }
struct Rows { r0: Row, r1: Row, r2: Row, r3: Row, r4: Row, r5: Row, r6: Row, r7: Row }

// The place of a vec4 within its row: lanes beyond the last column read the last one.
fn within(column: u32) -> u32 { return min(column, u.d / 4u - 1u); }

// Zeros in place of the columns beyond the last.
fn masked(x: Row, lane: u32) -> Row {
  let d4 = u.d / 4u;
  var z = x;
  z.a = select(vec4f(0.0), x.a, lane < d4);
  z.b = select(vec4f(0.0), x.b, lane + WIDTH < d4);
  z.c = select(vec4f(0.0), x.c, lane + 2u * WIDTH < d4);
  z.d = select(vec4f(0.0), x.d, lane + 3u * WIDTH < d4);
  return z;
}

fn product(x: Row, y: Row) -> f32 {
  var s = dot(x.a, y.a);
  if (PARTS > 1u) { s += dot(x.b, y.b); }
  if (PARTS > 2u) { s += dot(x.c, y.c); }
  if (PARTS > 3u) { s += dot(x.d, y.d); }
  return s;
}

// x + f · y.
fn plusTimes(x: Row, f: f32, y: Row) -> Row {
  var z = x;
  z.a += f * y.a;
  if (PARTS > 1u) { z.b += f * y.b; }
  if (PARTS > 2u) { z.c += f * y.c; }
  if (PARTS > 3u) { z.d += f * y.d; }
  return z;
}

fn times(x: Row, f: f32) -> Row {
  var z = x;
  z.a *= f;
  if (PARTS > 1u) { z.b *= f; }
  if (PARTS > 2u) { z.c *= f; }
  if (PARTS > 3u) { z.d *= f; }
  return z;
}

// Sums of four numbers over four lanes: lane l gets the sum of number l mod 4, by a transposing butterfly.
fn sumOfFour(x: vec4f, lane: u32) -> f32 {
  let odd = (lane & 1u) != 0u;
  let pair = select(x.xz, x.yw, odd) + subgroupShuffleXor(select(x.yw, x.xz, odd), 1u);
  let high = (lane & 2u) != 0u;
  return select(pair.x, pair.y, high) + subgroupShuffleXor(select(pair.y, pair.x, high), 2u);
}

// The dot product of y with row l of x, for lane l.
fn products(x: Rows, y: Row, lane: u32) -> f32 {
  let low = sumOfFour(vec4f(product(x.r0, y), product(x.r1, y), product(x.r2, y), product(x.r3, y)), lane);
  if (WIDTH == 4u) { return low; }
  let high = sumOfFour(vec4f(product(x.r4, y), product(x.r5, y), product(x.r6, y), product(x.r7, y)), lane);
  let upper = (lane & 4u) != 0u;
  return select(low, high, upper) + subgroupShuffleXor(select(high, low, upper), 4u);
}

// Row l of x plus lane l's factor times y.
fn spread(x: Rows, f: f32, y: Row) -> Rows {
  var z = x;
  z.r0 = plusTimes(z.r0, subgroupBroadcast(f, 0u), y);
  z.r1 = plusTimes(z.r1, subgroupBroadcast(f, 1u), y);
  z.r2 = plusTimes(z.r2, subgroupBroadcast(f, 2u), y);
  z.r3 = plusTimes(z.r3, subgroupBroadcast(f, 3u), y);
  if (WIDTH == 8u) {
    z.r4 = plusTimes(z.r4, subgroupBroadcast(f, 4u), y);
    z.r5 = plusTimes(z.r5, subgroupBroadcast(f, 5u), y);
    z.r6 = plusTimes(z.r6, subgroupBroadcast(f, 6u), y);
    z.r7 = plusTimes(z.r7, subgroupBroadcast(f, 7u), y);
  }
  return z;
}

fn either(x: Row, y: Row, second: bool) -> Row {
  var z = x;
  z.a = select(x.a, y.a, second);
  if (PARTS > 1u) { z.b = select(x.b, y.b, second); }
  if (PARTS > 2u) { z.c = select(x.c, y.c, second); }
  if (PARTS > 3u) { z.d = select(x.d, y.d, second); }
  return z;
}

// x with y as its row l. Loops over rows call this once, where eight loads in a row would be eight times as much code.
fn put(x: Rows, l: u32, y: Row) -> Rows {
  var z = x;
  z.r0 = either(x.r0, y, l == 0u);
  z.r1 = either(x.r1, y, l == 1u);
  z.r2 = either(x.r2, y, l == 2u);
  z.r3 = either(x.r3, y, l == 3u);
  if (WIDTH == 8u) {
    z.r4 = either(x.r4, y, l == 4u);
    z.r5 = either(x.r5, y, l == 5u);
    z.r6 = either(x.r6, y, l == 6u);
    z.r7 = either(x.r7, y, l == 7u);
  }
  return z;
}

// Row l of x.
fn pick(x: Rows, l: u32) -> Row {
  var z = either(x.r0, x.r1, l == 1u);
  z = either(z, x.r2, l == 2u);
  z = either(z, x.r3, l == 3u);
  if (WIDTH == 8u) {
    z = either(z, x.r4, l == 4u);
    z = either(z, x.r5, l == 5u);
    z = either(z, x.r6, l == 6u);
    z = either(z, x.r7, l == 7u);
  }
  return z;
}
