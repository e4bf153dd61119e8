// dx of y = x ∗ w. Pixels whose row and column leave the same remainders when divided by the strides meet the same taps:
// each such class is a convolution of stride 1 over dy, so that no tap is visited in vain. A subgroup computes 16 pixels of a class
// × 4 SG channels of a group, a lane 4 channels of every pixel. A step takes 4 channels of dy at one tap: lanes read the 16 pixels'
// vectors together and hand them round, and each reads a 4 × 4 block of w of its own. No workgroup memory and no barrier.
// Needs cg and og to be multiples of 4 and subgroups of one known size, at least 4.
enable subgroups;
//#params
alias Elem = f32;
const SG = 8u;                                                      // width of the subgroup
//#end
//#use pixel block madd
alias Elem4 = vec4<Elem>;
struct Uniforms {
  origin: vec3u,
  b: u32, ih: u32, iw: u32, ci: u32, oh: u32, ow: u32, co: u32, fh: u32, fw: u32, groups: u32, cg: u32, og: u32,
  strideH: u32, strideW: u32, dilationH: u32, dilationW: u32, padH: u32, padW: u32, stepH: u32, stepW: u32,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> dy: array<Elem4>;          // [b, oh, ow, co]
@group(0) @binding(2) var<storage, read> w: array<Elem4>;           // [fh, fw, cg, co]
@group(0) @binding(3) var<storage, read_write> dx: array<Elem4>;    // [b, ih, iw, ci]
@group(0) @binding(4) var<storage, read> residual: array<Elem4>;    // [b, ih, iw, ci] //#if residual

fn finish(pixel: u32, c4: u32, sum: vec4f) {
  let at = pixel * (u.ci / 4u) + c4;
  var r = sum;
  r += vec4f(residual[at]);                                         //#if residual
  dx[at] = Elem4(r);
}

// Where the channels of group g of dy begin that a pixel of the class meets at one tap, and 1; outside of dy zeros.
fn addressOf(place: vec3u, shift: vec2u, g: u32) -> vec2u {
  let oy = place.y + shift.y;
  let ox = place.z + shift.x;
  return select(vec2u(), vec2u(((place.x * u.oh + oy) * u.ow + ox) * (u.co / 4u) + g * (u.og / 4u), 1u), oy < u.oh && ox < u.ow);
}

fn load(at: vec2u, o: u32) -> vec4f {
  return select(vec4f(), vec4f(dy[at.x + o]), at.y == 1u);
}

@compute @workgroup_size(SG)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(subgroup_invocation_id) lane: u32) {
  let wg = group + u.origin;
  let cy = wg.z / u.groups / u.strideW;                             // the class
  let cx = wg.z / u.groups % u.strideW;
  let g = wg.z % u.groups;
  let rows = (u.ih - min(cy, u.ih) + u.strideH - 1u) / u.strideH;
  let columns = (u.iw - min(cx, u.iw) + u.strideW - 1u) / u.strideW;
  let pixels = u.b * rows * columns;
  let first = wg.y * 16u;
  if (first >= pixels) { return; }
  let last = pixels - 1u;
  let p0 = pixelAt(min(first + slotOf(lane, 0u), last), rows, columns);
  let p1 = pixelAt(min(first + slotOf(lane, 1u), last), rows, columns);
  let p2 = pixelAt(min(first + slotOf(lane, 2u), last), rows, columns);
  let p3 = pixelAt(min(first + slotOf(lane, 3u), last), rows, columns);
  let og4 = u.og / 4u;
  let co4 = u.co / 4u;
  let column = wg.x * SG + lane;
  let c4 = min(column, u.cg / 4u - 1u);                             // every lane takes part in the broadcasts
  var sums: Block;
  for (var ky = firstTap((cy + u.padH) % u.strideH, u.dilationH, u.strideH); ky < u.fh; ky += u.stepH) {
    for (var kx = firstTap((cx + u.padW) % u.strideW, u.dilationW, u.strideW); kx < u.fw; kx += u.stepW) {
      // Exact; below zero it wraps.
      let shift = vec2u(
        u32((i32(cx + u.padW) - i32(kx * u.dilationW)) / i32(u.strideW)),
        u32((i32(cy + u.padH) - i32(ky * u.dilationH)) / i32(u.strideH)),
      );
      let at0 = addressOf(p0, shift, g);
      let at1 = addressOf(p1, shift, g);
      let at2 = addressOf(p2, shift, g);
      let at3 = addressOf(p3, shift, g);
      var atW = ((ky * u.fw + kx) * u.cg + 4u * c4) * co4 + g * og4;
      for (var o = 0u; o < og4; o++) {
        var held: Held;
        held[0] = load(at0, o);
        if (VECTORS > 1u) { held[1u % VECTORS] = load(at1, o); }
        if (VECTORS > 2u) {
          held[2u % VECTORS] = load(at2, o);
          held[3u % VECTORS] = load(at3, o);
        }
        sums = gain(sums, held, transpose(mat4x4f(vec4f(w[atW]), vec4f(w[atW + co4]), vec4f(w[atW + 2u * co4]), vec4f(w[atW + 3u * co4]))));
        atW++;
      }
    }
  }
  if (column >= u.cg / 4u) { return; }
  // A loop over copies, so that the epilogue is compiled once.
  var list = rowsOf(sums);
  for (var i = 0u; i < min(16u, pixels - first); i++) {
    let place = pixelAt(first + i, rows, columns);
    finish((place.x * u.ih + cy + place.y * u.strideH) * u.iw + cx + place.z * u.strideW, g * (u.cg / 4u) + c4, list[i]);
  }
}
