// dx of average pooling, one invocation per four channels: an element gathers its share of dy from every window that holds
// it. Needs c to be a multiple of 4.
//#params
alias Elem = f32;
//#end
//#use pixel window
alias Elem4 = vec4<Elem>;
struct Uniforms {
  origin: vec3u,
  b: u32, ih: u32, iw: u32, c: u32, oh: u32, ow: u32, fh: u32, fw: u32,
  strideH: u32, strideW: u32, padH: u32, padW: u32, countPad: u32,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> dy: array<Elem4>;          // [b, oh, ow, c]
@group(0) @binding(2) var<storage, read_write> dx: array<Elem4>;    // [b, ih, iw, c]

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) t: u32) {
  let at = (group.x + u.origin.x) * 64u + t;
  let c4s = u.c / 4u;
  if (at >= u.b * u.ih * u.iw * c4s) { return; }
  let c4 = at % c4s;
  let place = pixelAt(at / c4s, u.ih, u.iw);
  let rows = windowsOf(place.y + u.padH, u.fh, u.strideH, u.oh);
  let columns = windowsOf(place.z + u.padW, u.fw, u.strideW, u.ow);
  var sum = vec4f(0.0);
  for (var oy = rows.x; oy < rows.y; oy++) {
    let tall = insideTaps(oy, u.fh, u.strideH, u.padH, u.ih);
    for (var ox = columns.x; ox < columns.y; ox++) {
      let wide = insideTaps(ox, u.fw, u.strideW, u.padW, u.iw);
      sum += vec4f(dy[((place.x * u.oh + oy) * u.ow + ox) * c4s + c4]) / f32(select(tall * wide, u.fh * u.fw, u.countPad == 1u));
    }
  }
  dx[at] = Elem4(sum);
}
