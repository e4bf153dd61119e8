// The products of one head of attention by subgroup matrices, f16 factors and f32 sums: scores of ROWS rows that stay against STEP rows at a
// time of what streams past, and sums of what streams past under weights that follow from the scores.
//
//   workgroup   ROWS rows
//   subgroup    16 of these
//   invocation  PER vectors of scores of one row: as many invocations share a row as a subgroup has for its 16
//
// The template declares the constants D8 (halves of a row, in eights), ROWS, STEP, SG and KEPT (operands that stay: 1 or 2), and
//   struct Task                           what its workgroup works on
//   keptAt(task, operand, row, c8)        eight halves of row `row` of the workgroup, streamedAt(task, operand, row, c8) of any row; rows past
//                                         the end may be any that are there
//   finish(task, which, row, c8, x, y)    takes eight sums of a row; some rows lie past the end
//#use matrix eight
const LD = D8 + 1u;                                                 // from row to row, in 16 bytes: odd, for the banks
const LANES = ROWS / 16u * SG;
const SCORE_LD = STEP / 4u + 1u;
const STREAMED = KEPT * ROWS * LD;                                  // where the first and the second streamed operand are staged
const STREAMED_TOO = STREAMED + STEP * LD;
const SCORES = STREAMED_TOO + STEP * LD;                            // and the scores, or the weights that take their place
const SCORES_TOO = SCORES + ROWS * SCORE_LD;
const SHARERS = SG / 16u;                                           // invocations of a row
const PER = STEP / 4u / SHARERS;
alias Held = array<vec4f, PER>;
alias Scores = array<C, 4>;
alias Sums = array<C, 8>;

var<workgroup> staged: array<vec4u, SCORES + KEPT * ROWS * SCORE_LD>;

fn stageKept(task: Task, t: u32) {
  for (var e = t; e < ROWS * D8; e += LANES) {
    staged[e / D8 * LD + e % D8] = keptAt(task, 0u, e / D8, e % D8);
    if (KEPT == 2u) { staged[ROWS * LD + e / D8 * LD + e % D8] = keptAt(task, 1u, e / D8, e % D8); }
  }
}

// Rows from `first` on of one operand, or of both.
fn stageStreamed(task: Task, first: u32, both: bool, t: u32) {
  for (var e = t; e < STEP * D8; e += LANES) {
    staged[STREAMED + e / D8 * LD + e % D8] = streamedAt(task, 0u, first + e / D8, e % D8);
    if (both) { staged[STREAMED_TOO + e / D8 * LD + e % D8] = streamedAt(task, 1u, first + e / D8, e % D8); }
  }
}

// Scores of a subgroup's 16 rows of a kept operand against all rows of a streamed one.
fn multiplyRows(subgroup: u32, kept: u32, streamed: u32, scores: ptr<function, Scores>) {
  for (var p = 0u; p < ended(8u * D8); p += 16u) {
    let l = loadL(kept + subgroup * 16u * LD + p / 8u, LD);
    (*scores)[0] = mma(l, loadRT(streamed + p / 8u, LD), (*scores)[0]);
    (*scores)[1] = mma(l, loadRT(streamed + 16u * LD + p / 8u, LD), (*scores)[1]);
    if (STEP > 32u) {
      (*scores)[2] = mma(l, loadRT(streamed + 32u % STEP * LD + p / 8u, LD), (*scores)[2]);
      (*scores)[3] = mma(l, loadRT(streamed + 48u % STEP * LD + p / 8u, LD), (*scores)[3]);
    }
  }
}

fn storeScores(subgroup: u32, at: u32, scores: ptr<function, Scores>) {
  storeC(at + subgroup * 16u * SCORE_LD, (*scores)[0], SCORE_LD);
  storeC(at + subgroup * 16u * SCORE_LD + 4u, (*scores)[1], SCORE_LD);
  if (STEP > 32u) {
    storeC(at + subgroup * 16u * SCORE_LD + 8u, (*scores)[2], SCORE_LD);
    storeC(at + subgroup * 16u * SCORE_LD + 12u, (*scores)[3], SCORE_LD);
  }
}

// The row of an invocation's scores, and the column of the first in vector v of these.
fn rowOf(t: u32) -> u32 { return t / SHARERS; }
fn columnOf(t: u32, v: u32) -> vec4u { return vec4u((t % SHARERS * PER + v) * 4u) + vec4u(0u, 1u, 2u, 3u); }

fn scoresOf(t: u32, at: u32) -> Held {
  var held: Held;
  for (var v = 0u; v < PER; v++) { held[v] = bitcast<vec4f>(staged[at + rowOf(t) * SCORE_LD + t % SHARERS * PER + v]); }
  return held;
}

// Weights as halves, in place of scores that all have read.
fn storeWeights(t: u32, at: u32, weights: Held) {
  var held = weights;
  for (var v = 0u; v < PER / 2u; v++) { staged[at + rowOf(t) * SCORE_LD + t % SHARERS * (PER / 2u) + v] = pack8(held[2u * v], held[2u * v + 1u]); }
}

// Sums of a streamed operand's rows under the weights of a subgroup's 16 rows.
fn gather(subgroup: u32, weights: u32, streamed: u32, sums: ptr<function, Sums>) {
  for (var p = 0u; p < ended(STEP); p += 16u) {
    let l = loadL(weights + subgroup * 16u * SCORE_LD + p / 8u, SCORE_LD);
    let at = streamed + p * LD;
    (*sums)[0] = mma(l, loadR(at, LD), (*sums)[0]);
    (*sums)[1] = mma(l, loadR(at + 2u, LD), (*sums)[1]);
    if (D8 > 4u) {
      (*sums)[2] = mma(l, loadR(at + 4u, LD), (*sums)[2]);
      (*sums)[3] = mma(l, loadR(at + 6u, LD), (*sums)[3]);
    }
    if (D8 > 8u) {
      (*sums)[4] = mma(l, loadR(at + 8u, LD), (*sums)[4]);
      (*sums)[5] = mma(l, loadR(at + 10u, LD), (*sums)[5]);
    }
    if (D8 > 12u) {
      (*sums)[6] = mma(l, loadR(at + 12u, LD), (*sums)[6]);
      (*sums)[7] = mma(l, loadR(at + 14u, LD), (*sums)[7]);
    }
  }
}

// 32 columns of a subgroup's sums.
fn storeSums(subgroup: u32, first: C, second: C) {
  storeC(SCORES + subgroup * 16u * SCORE_LD, first, SCORE_LD);
  storeC(SCORES + subgroup * 16u * SCORE_LD + 4u, second, SCORE_LD);
}

// Hands all sums to the template, through workgroup memory.
fn finishSums(task: Task, which: u32, subgroup: u32, t: u32, sums: ptr<function, Sums>) {
  for (var part = 0u; part < ended(D8 / 4u); part++) {
    workgroupBarrier();                                             // all have read what lies there
    if (part == 0u) { storeSums(subgroup, (*sums)[0], (*sums)[1]); }
    if (D8 > 4u && part == 1u) { storeSums(subgroup, (*sums)[2], (*sums)[3]); }
    if (D8 > 8u && part == 2u) { storeSums(subgroup, (*sums)[4], (*sums)[5]); }
    if (D8 > 12u && part == 3u) { storeSums(subgroup, (*sums)[6], (*sums)[7]); }
    workgroupBarrier();                                             // the sums are there
    for (var e = t; e < ROWS * 4u; e += LANES) {
      let at = SCORES + e / 4u * SCORE_LD + e % 4u * 2u;
      finish(task, which, e / 4u, part * 4u + e % 4u, bitcast<vec4f>(staged[at]), bitcast<vec4f>(staged[at + 1u]));
    }
  }
}
