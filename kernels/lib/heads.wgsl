// The products of one head of attention in registers: scores of ROWS rows against STEP rows at a time of what streams past through
// workgroup memory, and sums of what streams past under weights that follow from the scores.
//
//   workgroup   ROWS rows, ACROSS invocations for every four of them
//   invocation  scores of 4 rows × 4 neighbours in the stream; sums of 4 rows × WIDE groups of 4 columns, 4 ACROSS columns apart
//
// Row j of a step is staged in slot j % 4 · ACROSS + j / 4, and rows lie an odd number of 16 bytes apart, so that eight invocations that read a
// row each, or a column each, meet no bank twice. The rows that stay are read where they are, by ACROSS invocations together. Staged columns past
// the last are never written: they stay zero, and sums of them go nowhere.
//
// The template declares the constants D4 (columns in fours, up to a multiple of 8), ROWS and STEP (8, 16 or 32), and
//   struct Task                           what its workgroup works on
//   keptAt(task, operand, row, c4)        four columns of row `row` of the workgroup, streamedAt(task, operand, row, c4) of any row; rows past
//                                         the end may be any that are there
//#use madd
const ACROSS = STEP / 4u;
const LD = D4 + 1u;
const LANES = ROWS / 4u * ACROSS;
const WIDE = D4 / ACROSS;
const WEIGHT_LD = STEP / 4u + 1u;
const STREAMED_TOO = STEP * LD;                                     // where the second operand is staged
struct Four { a: vec4f, b: vec4f, c: vec4f, d: vec4f }              // of four rows
alias Sums = array<Four, WIDE>;

var<workgroup> staged: array<vec4f, 2u * STEP * LD>;
var<workgroup> weights: array<vec4f, ROWS * WEIGHT_LD>;             // [ROWS, STEP / 4] vectors along the stream

// Rows from `first` on of both streamed operands.
fn stageStreamed(task: Task, first: u32, t: u32) {
  for (var e = t; e < STEP * D4; e += LANES) {
    let j = e / D4;
    let c = e % D4;
    if (c >= u.d / 4u) { continue; }
    let at = (j % 4u * ACROSS + j / 4u) * LD + c;
    staged[at] = streamedAt(task, 0u, first + j, c);
    staged[STREAMED_TOO + at] = streamedAt(task, 1u, first + j, c);
  }
}

// Scores of an invocation's four rows of a kept operand against its four rows of what is staged at `at`.
fn multiplyRows(task: Task, operand: u32, at: u32, t: u32) -> Four {
  let row = t / ACROSS * 4u;
  let column = at + t % ACROSS * LD;
  var s = Four();
  for (var c = 0u; c < u.d / 4u; c++) {                             // not D4: unrolled whole it takes all registers
    let y0 = staged[column + c];
    let y1 = staged[column + ACROSS * LD + c];
    let y2 = staged[column + 2u * ACROSS * LD + c];
    let y3 = staged[column + 3u * ACROSS * LD + c];
    let x0 = keptAt(task, operand, row, c);
    s.a += vec4f(dot(x0, y0), dot(x0, y1), dot(x0, y2), dot(x0, y3));
    let x1 = keptAt(task, operand, row + 1u, c);
    s.b += vec4f(dot(x1, y0), dot(x1, y1), dot(x1, y2), dot(x1, y3));
    let x2 = keptAt(task, operand, row + 2u, c);
    s.c += vec4f(dot(x2, y0), dot(x2, y1), dot(x2, y2), dot(x2, y3));
    let x3 = keptAt(task, operand, row + 3u, c);
    s.d += vec4f(dot(x3, y0), dot(x3, y1), dot(x3, y2), dot(x3, y3));
  }
  return s;
}

// The places in the stream, within a step, of an invocation's scores.
fn columnOf(t: u32) -> vec4u { return vec4u(t % ACROSS * 4u) + vec4u(0u, 1u, 2u, 3u); }

fn storeWeights(w: Four, t: u32) {
  let at = t / ACROSS * 4u * WEIGHT_LD + t % ACROSS;
  weights[at] = w.a;
  weights[at + WEIGHT_LD] = w.b;
  weights[at + 2u * WEIGHT_LD] = w.c;
  weights[at + 3u * WEIGHT_LD] = w.d;
}

// Sums of what is staged at `at` under the weights.
fn gather(sums: ptr<function, Sums>, at: u32, t: u32) {
  let row = t / ACROSS * 4u * WEIGHT_LD;
  for (var j = 0u; j < STEP / 4u; j++) {
    let w0 = weights[row + j];
    let w1 = weights[row + WEIGHT_LD + j];
    let w2 = weights[row + 2u * WEIGHT_LD + j];
    let w3 = weights[row + 3u * WEIGHT_LD + j];
    for (var v = 0u; v < WIDE; v++) {
      let column = at + j * LD + t % ACROSS + ACROSS * v;
      let y0 = staged[column];
      let y1 = staged[column + ACROSS * LD];
      let y2 = staged[column + 2u * ACROSS * LD];
      let y3 = staged[column + 3u * ACROSS * LD];
      (*sums)[v].a = madd(w0, y0, y1, y2, y3, (*sums)[v].a);
      (*sums)[v].b = madd(w1, y0, y1, y2, y3, (*sums)[v].b);
      (*sums)[v].c = madd(w2, y0, y1, y2, y3, (*sums)[v].c);
      (*sums)[v].d = madd(w3, y0, y1, y2, y3, (*sums)[v].d);
    }
  }
}
