// dx of max pooling, one invocation per element: the readable specification.
// An element gathers dy from every window in which it is the first maximum in row order: larger than all before it there,
// and no smaller than all after it.
//#params
alias Elem = f32;
//#end
//#use pixel window
struct Uniforms {
  origin: vec3u,
  b: u32, ih: u32, iw: u32, c: u32, oh: u32, ow: u32, fh: u32, fw: u32,
  strideH: u32, strideW: u32, padH: u32, padW: u32, xh: u32, above: u32,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> x: array<Elem>;            // [b, xh, iw, c]
@group(0) @binding(2) var<storage, read> dy: array<Elem>;           // [b, oh, ow, c]
@group(0) @binding(3) var<storage, read_write> dx: array<Elem>;     // [b, ih, iw, c]

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) t: u32) {
  let at = (group.x + u.origin.x) * 64u + t;
  if (at >= u.b * u.ih * u.iw * u.c) { return; }
  let c = at % u.c;
  let place = pixelAt(at / u.c, u.ih, u.iw);
  let y = place.y + u.above;                                        // in the rows of x
  let mine = f32(x[((place.x * u.xh + y) * u.iw + place.z) * u.c + c]);
  let rows = windowsOf(place.y + u.padH, u.fh, u.strideH, u.oh);
  let columns = windowsOf(place.z + u.padW, u.fw, u.strideW, u.ow);
  var sum = 0.0;
  for (var oy = rows.x; oy < rows.y; oy++) {
    for (var ox = columns.x; ox < columns.y; ox++) {
      var first = bool(true);
      for (var ky = 0u; ky < u.fh; ky++) {
        let iy = oy * u.strideH + ky - u.padH + u.above;            // above the image: wraps, and is no longer < ih
        if (iy >= u.xh) { continue; }
        for (var kx = 0u; kx < u.fw; kx++) {
          let ix = ox * u.strideW + kx - u.padW;
          if (ix >= u.iw || (iy == y && ix == place.z)) { continue; }
          let other = f32(x[((place.x * u.xh + iy) * u.iw + ix) * u.c + c]);
          let before = iy < y || (iy == y && ix < place.z);
          first = first && select(mine >= other, mine > other, before);
        }
      }
      sum += select(0.0, f32(dy[((place.x * u.oh + oy) * u.ow + ox) * u.c + c]), first);
    }
  }
  dx[at] = Elem(sum);
}
