// Similarities of 64 rows with 64 columns of z in registers, staged through workgroup memory.
//
//   workgroup   128 invocations
//   invocation  8 rows, 8 apart, × 4 neighbouring columns
//   step        16 of the d components: half of the lanes stage rows and half columns, a block of 4 × 4 each, the next while the last is multiplied
//
// What is done with similarities is then done through workgroup memory, where each invocation finds half of a row, so that compilers meet
// it once and little stays in registers. The template declares z and the numbers n and d. 16 KiB of workgroup memory.
//#use madd
const SIDE = 64u;
const LANES = 128u;
const COLUMN_SLAB = 4u * SIDE;                                         // behind [SIDE, 4] vectors along the components lie [16, SIDE / 4] along the columns
struct Eight { a: vec4f, b: vec4f, c: vec4f, d: vec4f, e: vec4f, f: vec4f, g: vec4f, h: vec4f }

var<workgroup> staged: array<vec4f, SIDE * SIDE / 4u>;

// A loop's end that compilers do not see: unrolled, these loops take processors' compilers minutes, and GPUs have no need of it.
fn rolled(n: u32) -> u32 { return min(n, n + u.origin.z); }

// Components 4 k to 4 k + 3 of rows i to i + 3; zeros behind the last component, the last row behind itself.
fn blockOf(i: u32, k: u32) -> mat4x4f {
  let width = u.d / 4u;
  if (k >= width) { return mat4x4f(); }
  let at = min(vec4u(i, i + 1u, i + 2u, i + 3u), vec4u(u.n - 1u)) * width + k;
  return mat4x4f(vec4f(z[at.x]), vec4f(z[at.y]), vec4f(z[at.z]), vec4f(z[at.w]));
}

// The similarities with the staged step added, for an invocation whose first row is `row`, in columns 4 column4 and on.
fn multiplyStaged(tile: Eight, row: u32, column4: u32) -> Eight {
  var s = tile;
  for (var p = 0u; p < rolled(4u); p++) {
    let at = COLUMN_SLAB + 4u * p * (SIDE / 4u) + column4;
    let b0 = staged[at];
    let b1 = staged[at + SIDE / 4u];
    let b2 = staged[at + SIDE / 2u];
    let b3 = staged[at + 3u * SIDE / 4u];
    let own = 4u * row + p;
    s.a = madd(staged[own], b0, b1, b2, b3, s.a);
    s.b = madd(staged[own + 32u], b0, b1, b2, b3, s.b);
    s.c = madd(staged[own + 64u], b0, b1, b2, b3, s.c);
    s.d = madd(staged[own + 96u], b0, b1, b2, b3, s.d);
    s.e = madd(staged[own + 128u], b0, b1, b2, b3, s.e);
    s.f = madd(staged[own + 160u], b0, b1, b2, b3, s.f);
    s.g = madd(staged[own + 192u], b0, b1, b2, b3, s.g);
    s.h = madd(staged[own + 224u], b0, b1, b2, b3, s.h);
  }
  return s;
}

// Products of rows `first` + t / 16 + 8 r with columns j + t % 16 · 4 and on. All have read what is staged when it ends.
fn similarities(first: u32, j: u32, t: u32) -> Eight {
  var s = Eight();
  let forRows = t < LANES / 2u;
  let lane = t % (LANES / 2u);
  let steps = (u.d + 15u) / 16u;
  for (var at = 0u; at <= steps; at++) {
    // The block of step `at` is loaded while the staged one, of the step before, is multiplied.
    var next = mat4x4f();
    if (at < steps) {
      if (forRows) { next = blockOf(first + lane / 4u * 4u, 4u * at + lane % 4u); }
      else { next = transpose(blockOf(j + lane % 16u * 4u, 4u * at + lane / 16u)); }
    }
    if (at > 0u) { s = multiplyStaged(s, t / 16u, t % 16u); }
    workgroupBarrier();                                                // all have read the old slabs
    if (at < steps) {
      if (forRows) {
        let to = lane / 4u * 16u + lane % 4u;
        staged[to] = next[0];
        staged[to + 4u] = next[1];
        staged[to + 8u] = next[2];
        staged[to + 12u] = next[3];
      } else {
        let to = COLUMN_SLAB + lane / 16u * SIDE + lane % 16u;
        staged[to] = next[0];
        staged[to + 16u] = next[1];
        staged[to + 32u] = next[2];
        staged[to + 48u] = next[3];
      }
      workgroupBarrier();                                              // the new slabs are whole
    }
  }
  return s;
}

// Where four columns of a row lie when all similarities are in workgroup memory: in turned places, so that neighbouring rows lie in other banks.
fn placeInTile(row: u32, column4: u32) -> u32 { return row * (SIDE / 4u) + (column4 ^ (row % 16u)); }

fn storeTile(s: Eight, t: u32) {
  let row = t / 16u;
  let column4 = t % 16u;
  staged[placeInTile(row, column4)] = s.a;
  staged[placeInTile(row + 8u, column4)] = s.b;
  staged[placeInTile(row + 16u, column4)] = s.c;
  staged[placeInTile(row + 24u, column4)] = s.d;
  staged[placeInTile(row + 32u, column4)] = s.e;
  staged[placeInTile(row + 40u, column4)] = s.f;
  staged[placeInTile(row + 48u, column4)] = s.g;
  staged[placeInTile(row + 56u, column4)] = s.h;
}
