// y at an output pixel = x at its place in the window, between four pixels; one invocation per output pixel, all channels.
//
// The matrix maps output pixel centres to the window, both measured from their middles: (X, Y) → (m0 X + m1 Y + m2, m3 X + m4 Y + m5).
// Outside the window lies its mirror image, or with `fill` one value.
//#params
alias Elem = f32;
//#end
//#use border
struct Uniforms { origin: vec3u, b: u32, ih: u32, iw: u32, oh: u32, ow: u32, c: u32, first: u32, skip: u32, outside: f32 }
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> x: array<Elem>;               // [b, ih, iw, c]
@group(0) @binding(2) var<storage, read> matrix: array<f32>;           // [b, 6]
@group(0) @binding(3) var<storage, read_write> y: array<Elem>;         // [b, oh, ow, c]

fn pixel(image: u32, row: i32, column: i32, channel: u32) -> f32 {
  let value = f32(x[u.skip + ((image * u.ih + mirrored(row, u.ih)) * u.iw + mirrored(column, u.iw)) * u.c + channel]);
  //#if fill
  if (row < 0 || column < 0 || row >= i32(u.ih) || column >= i32(u.iw)) { return u.outside; }
  //#endif
  return value;
}

@compute @workgroup_size(8, 8)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) local: vec3u) {
  let wg = group + u.origin;
  let column = wg.x * 8u + local.x;
  let row = wg.y * 8u + local.y;
  let image = wg.z;
  if (column >= u.ow || row >= u.oh) { return; }
  let dx = f32(column) + 0.5 - 0.5 * f32(u.ow);
  let dy = f32(row) + 0.5 - 0.5 * f32(u.oh);
  let m = 6u * (u.first + image);
  // In pixel indices: the centre of pixel 0 lies half a pixel inside.
  let px = (matrix[m] * dx + matrix[m + 1u] * dy) + (matrix[m + 2u] + 0.5 * f32(u.iw) - 0.5);
  let py = (matrix[m + 3u] * dx + matrix[m + 4u] * dy) + (matrix[m + 5u] + 0.5 * f32(u.ih) - 0.5);
  let left = floor(px);
  let top = floor(py);
  let fx = px - left;
  let fy = py - top;
  for (var channel = 0u; channel < u.c; channel++) {
    let a = pixel(image, i32(top), i32(left), channel);
    let b = pixel(image, i32(top), i32(left) + 1, channel);
    let c = pixel(image, i32(top) + 1, i32(left), channel);
    let d = pixel(image, i32(top) + 1, i32(left) + 1, channel);
    let value = (a * (1.0 - fx) + b * fx) * (1.0 - fy) + (c * (1.0 - fx) + d * fx) * fy;
    y[((image * u.oh + row) * u.ow + column) * u.c + channel] = Elem(value);
  }
}
