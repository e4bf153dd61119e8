// y = Σ_k w_k x_{i+k} / Σ_k w_k, w_k = exp(-k² / 2σ²), |k| ≤ min(reach, ⌈3σ⌉), along rows or with `vertical` along columns, σ of each image.
// One invocation per pixel, all channels. σ = 0 copies. Beyond the edges lies the mirror image.
//#params
alias Elem = f32;
//#end
//#use border
struct Uniforms { origin: vec3u, b: u32, h: u32, w: u32, c: u32, reach: u32, first: u32 }
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> x: array<Elem>;               // [b, h, w, c]
@group(0) @binding(2) var<storage, read> sigma: array<f32>;            // [b]
@group(0) @binding(3) var<storage, read_write> y: array<Elem>;         // [b, h, w, c]

fn neighbour(image: u32, row: u32, column: u32, step: i32) -> u32 {
  var at = (image * u.h + row) * u.w + mirrored(i32(column) + step, u.w);
  at = (image * u.h + mirrored(i32(row) + step, u.h)) * u.w + column;  //#if vertical
  return at * u.c;
}

@compute @workgroup_size(8, 8)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) local: vec3u) {
  let wg = group + u.origin;
  let column = wg.x * 8u + local.x;
  let row = wg.y * 8u + local.y;
  let image = wg.z;
  if (column >= u.w || row >= u.h) { return; }
  let s = sigma[u.first + image];
  let rate = select(0.0, 0.5 / (s * s), s > 0.0);
  let reach = select(0, i32(min(f32(u.reach), ceil(3.0 * s))), s > 0.0);
  for (var channel = 0u; channel < u.c; channel++) {
    var sum = f32(x[neighbour(image, row, column, 0) + channel]);
    var total = 1.0;
    for (var k = 1; k <= reach; k++) {
      let weight = exp(-f32(k * k) * rate);
      sum += weight * (f32(x[neighbour(image, row, column, -k) + channel]) + f32(x[neighbour(image, row, column, k) + channel]));
      total += 2.0 * weight;
    }
    y[((image * u.h + row) * u.w + column) * u.c + channel] = Elem(sum / total);
  }
}
