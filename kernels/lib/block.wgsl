// A block of 16 rows by 4 SG columns in the registers of one subgroup: a lane has 4 columns of every row. For templates that declare SG,
// the width of the subgroup, at least 4.

const VECTORS = (16u + SG - 1u) / SG;                               // vectors of a 16 × 4 operand that a lane holds

struct Block { r0: vec4f, r1: vec4f, r2: vec4f, r3: vec4f, r4: vec4f, r5: vec4f, r6: vec4f, r7: vec4f, r8: vec4f, r9: vec4f, r10: vec4f, r11: vec4f, r12: vec4f, r13: vec4f, r14: vec4f, r15: vec4f }
alias Held = array<vec4f, VECTORS>;

// The vector of the operand that this lane holds as number i of its own.
fn slotOf(lane: u32, i: u32) -> u32 { return (lane + i * SG) % 16u; }

// Four steps of the sum: every row gains its vector of the operand, held by some lane, times the four rows that a lane has read.
fn gain(block: Block, held: Held, rows: mat4x4f) -> Block {
  // A subgroup is at least 4 wide, so that four slots always lie in one vector.
  let v0 = held[0];
  let v1 = held[4u / SG];
  let v2 = held[8u / SG];
  let v3 = held[12u / SG];
  let b0 = rows[0];
  let b1 = rows[1];
  let b2 = rows[2];
  let b3 = rows[3];
  var s = block;
  s.r0 = madd(subgroupBroadcast(v0, 0u % SG), b0, b1, b2, b3, s.r0);
  s.r1 = madd(subgroupBroadcast(v0, 1u % SG), b0, b1, b2, b3, s.r1);
  s.r2 = madd(subgroupBroadcast(v0, 2u % SG), b0, b1, b2, b3, s.r2);
  s.r3 = madd(subgroupBroadcast(v0, 3u % SG), b0, b1, b2, b3, s.r3);
  s.r4 = madd(subgroupBroadcast(v1, 4u % SG), b0, b1, b2, b3, s.r4);
  s.r5 = madd(subgroupBroadcast(v1, 5u % SG), b0, b1, b2, b3, s.r5);
  s.r6 = madd(subgroupBroadcast(v1, 6u % SG), b0, b1, b2, b3, s.r6);
  s.r7 = madd(subgroupBroadcast(v1, 7u % SG), b0, b1, b2, b3, s.r7);
  s.r8 = madd(subgroupBroadcast(v2, 8u % SG), b0, b1, b2, b3, s.r8);
  s.r9 = madd(subgroupBroadcast(v2, 9u % SG), b0, b1, b2, b3, s.r9);
  s.r10 = madd(subgroupBroadcast(v2, 10u % SG), b0, b1, b2, b3, s.r10);
  s.r11 = madd(subgroupBroadcast(v2, 11u % SG), b0, b1, b2, b3, s.r11);
  s.r12 = madd(subgroupBroadcast(v3, 12u % SG), b0, b1, b2, b3, s.r12);
  s.r13 = madd(subgroupBroadcast(v3, 13u % SG), b0, b1, b2, b3, s.r13);
  s.r14 = madd(subgroupBroadcast(v3, 14u % SG), b0, b1, b2, b3, s.r14);
  s.r15 = madd(subgroupBroadcast(v3, 15u % SG), b0, b1, b2, b3, s.r15);
  return s;
}

// The same with the operand stored the other way: slot 4 j + l holds, of step j, rows 4 l to 4 l + 3.
fn gainTransposed(block: Block, held: Held, rows: mat4x4f) -> Block {
  let v0 = held[0];
  let v1 = held[4u / SG];
  let v2 = held[8u / SG];
  let v3 = held[12u / SG];
  let b0 = rows[0];
  let b1 = rows[1];
  let b2 = rows[2];
  let b3 = rows[3];
  var s = block;
  {
    let x0 = subgroupBroadcast(v0, 0u % SG);
    let x1 = subgroupBroadcast(v1, 4u % SG);
    let x2 = subgroupBroadcast(v2, 8u % SG);
    let x3 = subgroupBroadcast(v3, 12u % SG);
    s.r0 = madd(vec4f(x0.x, x1.x, x2.x, x3.x), b0, b1, b2, b3, s.r0);
    s.r1 = madd(vec4f(x0.y, x1.y, x2.y, x3.y), b0, b1, b2, b3, s.r1);
    s.r2 = madd(vec4f(x0.z, x1.z, x2.z, x3.z), b0, b1, b2, b3, s.r2);
    s.r3 = madd(vec4f(x0.w, x1.w, x2.w, x3.w), b0, b1, b2, b3, s.r3);
  }
  {
    let x0 = subgroupBroadcast(v0, 1u % SG);
    let x1 = subgroupBroadcast(v1, 5u % SG);
    let x2 = subgroupBroadcast(v2, 9u % SG);
    let x3 = subgroupBroadcast(v3, 13u % SG);
    s.r4 = madd(vec4f(x0.x, x1.x, x2.x, x3.x), b0, b1, b2, b3, s.r4);
    s.r5 = madd(vec4f(x0.y, x1.y, x2.y, x3.y), b0, b1, b2, b3, s.r5);
    s.r6 = madd(vec4f(x0.z, x1.z, x2.z, x3.z), b0, b1, b2, b3, s.r6);
    s.r7 = madd(vec4f(x0.w, x1.w, x2.w, x3.w), b0, b1, b2, b3, s.r7);
  }
  {
    let x0 = subgroupBroadcast(v0, 2u % SG);
    let x1 = subgroupBroadcast(v1, 6u % SG);
    let x2 = subgroupBroadcast(v2, 10u % SG);
    let x3 = subgroupBroadcast(v3, 14u % SG);
    s.r8 = madd(vec4f(x0.x, x1.x, x2.x, x3.x), b0, b1, b2, b3, s.r8);
    s.r9 = madd(vec4f(x0.y, x1.y, x2.y, x3.y), b0, b1, b2, b3, s.r9);
    s.r10 = madd(vec4f(x0.z, x1.z, x2.z, x3.z), b0, b1, b2, b3, s.r10);
    s.r11 = madd(vec4f(x0.w, x1.w, x2.w, x3.w), b0, b1, b2, b3, s.r11);
  }
  {
    let x0 = subgroupBroadcast(v0, 3u % SG);
    let x1 = subgroupBroadcast(v1, 7u % SG);
    let x2 = subgroupBroadcast(v2, 11u % SG);
    let x3 = subgroupBroadcast(v3, 15u % SG);
    s.r12 = madd(vec4f(x0.x, x1.x, x2.x, x3.x), b0, b1, b2, b3, s.r12);
    s.r13 = madd(vec4f(x0.y, x1.y, x2.y, x3.y), b0, b1, b2, b3, s.r13);
    s.r14 = madd(vec4f(x0.z, x1.z, x2.z, x3.z), b0, b1, b2, b3, s.r14);
    s.r15 = madd(vec4f(x0.w, x1.w, x2.w, x3.w), b0, b1, b2, b3, s.r15);
  }
  return s;
}

// The rows as a list, for what visits them in a loop.
fn rowsOf(s: Block) -> array<vec4f, 16> {
  return array(s.r0, s.r1, s.r2, s.r3, s.r4, s.r5, s.r6, s.r7, s.r8, s.r9, s.r10, s.r11, s.r12, s.r13, s.r14, s.r15);
}
