// dw of y = x ∗ w in parts: part s sums over its share of the rows of dy. A subgroup computes 16 rows of dw (four vectors of input
// channels, each at its tap) × 4 SG output channels, a lane 4 channels of every row, four pixels a step: lanes read the pixels'
// vectors of x together and hand them round, and each reads its own four vectors of dy. No workgroup memory and no barrier.
// Needs cg and og to be multiples of 4 and subgroups of one known size, at least 4.
enable subgroups;
//#params
alias Elem = f32;
const SG = 8u;                                                      // width of the subgroup
//#end
//#use block madd
alias Elem4 = vec4<Elem>;
struct Uniforms {
  origin: vec3u,
  b: u32, ih: u32, iw: u32, ci: u32, oh: u32, ow: u32, co: u32, fh: u32, fw: u32, groups: u32, cg: u32, og: u32,
  strideH: u32, strideW: u32, dilationH: u32, dilationW: u32, padH: u32, padW: u32, splits: u32,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> x: array<Elem4>;           // [b, ih, iw, ci]
@group(0) @binding(2) var<storage, read> dy: array<Elem4>;          // [b, oh, ow, co]
@group(0) @binding(3) var<storage, read_write> parts: array<vec4f>; // [splits, fh, fw, cg, co]

// Of one slot: the pixel of a step, where the filter's tap lies from the window's corner, and the channels of the tap.
struct Slot { pixel: u32, dy: u32, dx: u32, c4: u32, used: bool }

fn slotAt(index: u32, firstRow: u32, g: u32) -> Slot {
  let cg4 = u.cg / 4u;
  let row = firstRow + index % 4u;                                  // (ky, kx, c / 4)
  let tap = row / cg4;
  return Slot(index / 4u, tap / u.fw * u.dilationH - u.padH, tap % u.fw * u.dilationW - u.padW, g * cg4 + row % cg4, row < u.fh * u.fw * cg4);
}

// Where the slot's line of the image begins for one line of dy, and 1; outside of the image zeros.
fn lineOf(slot: Slot, line: u32) -> vec2u {
  let iy = line % u.oh * u.strideH + slot.dy;                       // above the image it wraps, and is no longer < ih
  return select(vec2u(), vec2u((line / u.oh * u.ih + iy) * u.iw, 1u), slot.used && iy < u.ih);
}

// The slot's vector of x for the step that begins at column ox of dy's line.
fn load(slot: Slot, line: vec2u, ox: u32) -> vec4f {
  let column = ox + slot.pixel;
  let ix = column * u.strideW + slot.dx;                            // left of the image it wraps
  let ok = line.y == 1u && column < u.ow && ix < u.iw;
  return select(vec4f(), vec4f(x[select(0u, (line.x + ix) * (u.ci / 4u) + slot.c4, ok)]), ok);
}

@compute @workgroup_size(SG)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(subgroup_invocation_id) lane: u32) {
  let wg = group + u.origin;
  let blocks = (u.og + 4u * SG - 1u) / (4u * SG);
  let g = wg.x / blocks;
  let column = wg.x % blocks * SG + lane;
  let co4 = u.co / 4u;
  let o4 = g * (u.og / 4u) + min(column, u.og / 4u - 1u);           // every lane takes part in the broadcasts
  let rows = u.fh * u.fw * (u.cg / 4u);
  let firstRow = wg.y * 4u;
  let s0 = slotAt(slotOf(lane, 0u), firstRow, g);
  let s1 = slotAt(slotOf(lane, 1u), firstRow, g);
  let s2 = slotAt(slotOf(lane, 2u), firstRow, g);
  let s3 = slotAt(slotOf(lane, 3u), firstRow, g);
  let lines = u.b * u.oh;
  let share = (lines + u.splits - 1u) / u.splits;
  var sums: Block;
  for (var line = wg.z * share; line < min(lines, (wg.z + 1u) * share); line++) {
    let l0 = lineOf(s0, line);
    let l1 = lineOf(s1, line);
    let l2 = lineOf(s2, line);
    let l3 = lineOf(s3, line);
    for (var ox = 0u; ox < u.ow; ox += 4u) {
      var held: Held;
      held[0] = load(s0, l0, ox);
      if (VECTORS > 1u) { held[1u % VECTORS] = load(s1, l1, ox); }
      if (VECTORS > 2u) {
        held[2u % VECTORS] = load(s2, l2, ox);
        held[3u % VECTORS] = load(s3, l3, ox);
      }
      // Columns behind the last meet zeros of x.
      let at = (line * u.ow + min(vec4u(ox, ox + 1u, ox + 2u, ox + 3u), vec4u(u.ow - 1u))) * co4 + o4;
      sums = gainTransposed(sums, held, mat4x4f(vec4f(dy[at.x]), vec4f(dy[at.y]), vec4f(dy[at.z]), vec4f(dy[at.w])));
    }
  }
  if (column >= u.og / 4u) { return; }
  var list = rowsOf(sums);
  for (var i = 0u; i < min(16u, 4u * (rows - firstRow)); i++) { parts[((wg.z * rows + firstRow) * 4u + i) * co4 + o4] = list[i]; }
}
