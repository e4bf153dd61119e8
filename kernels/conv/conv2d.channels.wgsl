// y = act(x ∗ w + bias) + residual: a subgroup computes 16 pixels × 4 SG channels of a group, a lane 4 channels of every pixel.
// A step takes 4 input channels at one tap: lanes read the 16 pixels' vectors of x together and hand them round, and each reads its own
// four vectors of w. No workgroup memory and no barrier. Needs cg and og to be multiples of 4 and subgroups of one known size, at least 4.
enable subgroups;
//#params
alias Elem = f32;
const SG = 8u;                                                      // width of the subgroup
//#end
//#use activation pixel block madd
alias Elem4 = vec4<Elem>;
struct Uniforms {
  origin: vec3u,
  b: u32, ih: u32, iw: u32, ci: u32, oh: u32, ow: u32, co: u32, fh: u32, fw: u32, groups: u32, cg: u32, og: u32,
  strideH: u32, strideW: u32, dilationH: u32, dilationW: u32, padH: u32, padW: u32,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> x: array<Elem4>;           // [b, ih, iw, ci]
@group(0) @binding(2) var<storage, read> w: array<Elem4>;           // [fh, fw, cg, co]
@group(0) @binding(3) var<storage, read_write> y: array<Elem4>;     // [b, oh, ow, co]
@group(0) @binding(4) var<storage, read> bias: array<Elem4>;        // [co] //#if bias
@group(0) @binding(5) var<storage, read> residual: array<Elem4>;    // [b, oh, ow, co] //#if residual

// Applies the epilogue to four channels from 4 · o4 on and stores them.
fn finish(pixel: u32, o4: u32, sum: vec4f) {
  let at = pixel * (u.co / 4u) + o4;
  var r = sum;
  r += vec4f(bias[o4]);                                             //#if bias
  r = relu4(r);                                                     //#if relu
  r = gelu4(r);                                                     //#if gelu
  r = silu4(r);                                                     //#if silu
  r += vec4f(residual[at]);                                         //#if residual
  y[at] = Elem4(r);
}

// Where the window of a pixel begins: the image's first line, and row and column, which wrap above and left of the image.
fn cornerOf(pixel: u32) -> vec3u {
  let place = pixelAt(min(pixel, u.b * u.oh * u.ow - 1u), u.oh, u.ow);
  return vec3u(place.x * u.ih, place.y * u.strideH - u.padH, place.z * u.strideW - u.padW);
}

// Where the channels of a group at one tap begin, and 1; outside of the image zeros.
fn addressOf(corner: vec3u, ky: u32, kx: u32, g: u32) -> vec2u {
  let iy = corner.y + ky * u.dilationH;
  let ix = corner.z + kx * u.dilationW;
  return select(vec2u(), vec2u(((corner.x + iy) * u.iw + ix) * (u.ci / 4u) + g * (u.cg / 4u), 1u), iy < u.ih && ix < u.iw);
}

fn load(at: vec2u, c: u32) -> vec4f {
  return select(vec4f(), vec4f(x[at.x + c]), at.y == 1u);
}

@compute @workgroup_size(SG)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(subgroup_invocation_id) lane: u32) {
  let wg = group + u.origin;
  let first = wg.y * 16u;
  let pixels = u.b * u.oh * u.ow;
  let og4 = u.og / 4u;
  let co4 = u.co / 4u;
  let cg4 = u.cg / 4u;
  let column = wg.x * SG + lane;
  let o4 = wg.z * og4 + min(column, og4 - 1u);                      // every lane takes part in the broadcasts
  let c0 = cornerOf(first + slotOf(lane, 0u));
  let c1 = cornerOf(first + slotOf(lane, 1u));
  let c2 = cornerOf(first + slotOf(lane, 2u));
  let c3 = cornerOf(first + slotOf(lane, 3u));
  var sums: Block;
  for (var ky = 0u; ky < u.fh; ky++) {
    for (var kx = 0u; kx < u.fw; kx++) {
      let at0 = addressOf(c0, ky, kx, wg.z);
      let at1 = addressOf(c1, ky, kx, wg.z);
      let at2 = addressOf(c2, ky, kx, wg.z);
      let at3 = addressOf(c3, ky, kx, wg.z);
      var atW = (ky * u.fw + kx) * u.cg * co4 + o4;
      for (var c = 0u; c < cg4; c++) {
        var held: Held;
        held[0] = load(at0, c);
        if (VECTORS > 1u) { held[1u % VECTORS] = load(at1, c); }
        if (VECTORS > 2u) {
          held[2u % VECTORS] = load(at2, c);
          held[3u % VECTORS] = load(at3, c);
        }
        let rows = mat4x4f(vec4f(w[atW]), vec4f(w[atW + co4]), vec4f(w[atW + 2u * co4]), vec4f(w[atW + 3u * co4]));
        atW += 4u * co4;
        sums = gain(sums, held, rows);
      }
    }
  }
  if (column >= og4) { return; }
  // A loop over copies, so that the epilogue is compiled once.
  var list = rowsOf(sums);
  for (var i = 0u; i < min(16u, pixels - first); i++) { finish(first + i, o4, list[i]); }
}
