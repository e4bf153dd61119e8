// The gradient of SpatialNCE's rows, tiled through workgroup memory.
//
//   workgroup   64 rows and 128 components of dz, passing over the columns 64 at a time
//   invocation  the weights of one half of a row from its similarities (see lib/nce-tile); then
//               8 rows × 2 groups of 4 components of dz, 64 apart, in registers to the end
//
// Both halves of the gradient (row i as anchor, row j as anchor) come from the two saved log-sums, so nobody else writes a row.
// 32 KiB of workgroup memory.
//#params
alias Elem = f32;
//#end
//#use madd ncePair nceTile
alias Elem4 = vec4<Elem>;
struct Uniforms { origin: vec3u, n: u32, d: u32, splits: u32, invTau: f32, reach2: f32, rate: f32, near2: f32, far2: f32 }
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> z: array<Elem4>;               // [n, d]
@group(0) @binding(2) var<storage, read> position: array<f32>;         // [n, 3] //#if distance
@group(0) @binding(3) var<storage, read> space: array<i32>;            // [n] //#if distance
@group(0) @binding(4) var<storage, read> view: array<u32>;             // [n] //#if views
@group(0) @binding(5) var<storage, read> lse: array<f32>;              // [n]
@group(0) @binding(6) var<storage, read> mass: array<f32>;             // [n]
@group(0) @binding(7) var<storage, read_write> dz: array<Elem4>;        // [splits, n, d]

var<workgroup> weights: array<vec4f, SIDE * SIDE / 4u>;                 // placed like the similarities

// Eight rows of dz, 8 apart from `row` on, with what four columns, of components x0 to x3, add under their weights.
fn gather(sums: Eight, row: u32, column4: u32, x0: vec4f, x1: vec4f, x2: vec4f, x3: vec4f) -> Eight {
  let even = placeInTile(row, column4);                                // those 16 apart are turned alike
  let odd = placeInTile(row + 8u, column4);
  return Eight(
    madd(weights[even], x0, x1, x2, x3, sums.a),
    madd(weights[odd], x0, x1, x2, x3, sums.b),
    madd(weights[even + 4u * SIDE], x0, x1, x2, x3, sums.c),
    madd(weights[odd + 4u * SIDE], x0, x1, x2, x3, sums.d),
    madd(weights[even + 8u * SIDE], x0, x1, x2, x3, sums.e),
    madd(weights[odd + 8u * SIDE], x0, x1, x2, x3, sums.f),
    madd(weights[even + 12u * SIDE], x0, x1, x2, x3, sums.g),
    madd(weights[odd + 12u * SIDE], x0, x1, x2, x3, sums.h));
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) t: u32) {
  let wg = group + u.origin;
  let first = wg.x * SIDE;
  let last = u.n - 1u;
  let width = u.d / 4u;
  let own = t % SIDE;                                                   // the row whose weights are made here
  let i = first + own;
  let here = placeOf(min(i, last));
  let lseOwn = lse[min(i, last)];
  let inverseOwn = inverseOf(mass[min(i, last)]);
  let k = wg.y * 32u + t % 16u;                                         // of the first group of components, and past the end some that are there
  let left = min(k, width - 1u);
  let right = min(k + 16u, width - 1u);
  let isWide = wg.y * 32u + 16u < width;                                // whether there is a second
  let range = columnsOf(wg.z);
  var sums = Eight();
  var others = Eight();
  for (var j = range.x; j < range.y; j += SIDE) {
    let s = similarities(first, j, t);                                  // its barriers part the weights from those before
    storeTile(s, t);
    workgroupBarrier();                                                 // the similarities are there
    for (var q = 0u; q < rolled(8u); q++) {
      let c4 = 8u * (t / SIDE) + q;
      let c = j + 4u * c4;
      let at = min(vec4u(c, c + 1u, c + 2u, c + 3u), vec4u(last));
      let lses = vec4f(lse[at.x], lse[at.y], lse[at.z], lse[at.w]);
      let inverses = inversesOf(vec4f(mass[at.x], mass[at.y], mass[at.z], mass[at.w]));
      weights[placeInTile(own, c4)] = weightsOf(staged[placeInTile(own, c4)] * u.invTau, pairsOf(i, here, c, placesOf(at), u.n), lseOwn, inverseOwn, lses, inverses);
    }
    workgroupBarrier();                                                 // the weights are there
    for (var q = 0u; q < rolled(SIDE / 4u); q++) {
      let b = min(vec4u(j + 4u * q, j + 4u * q + 1u, j + 4u * q + 2u, j + 4u * q + 3u), vec4u(last)) * width;
      sums = gather(sums, t / 16u, q, vec4f(z[b.x + left]), vec4f(z[b.y + left]), vec4f(z[b.z + left]), vec4f(z[b.w + left]));
      if (isWide) { others = gather(others, t / 16u, q, vec4f(z[b.x + right]), vec4f(z[b.y + right]), vec4f(z[b.z + right]), vec4f(z[b.w + right])); }
    }
  }
  // A loop, so that the compiler meets one store and not sixteen.
  var rows = array<vec4f, 16>(sums.a, sums.b, sums.c, sums.d, sums.e, sums.f, sums.g, sums.h, others.a, others.b, others.c, others.d, others.e, others.f, others.g, others.h);
  for (var r = 0u; r < rolled(16u); r++) {
    let row = first + t / 16u + 8u * (r % 8u);
    let at = k + 16u * (r / 8u);
    if (row < u.n && at < width) { dz[(wg.z * u.n + row) * width + at] = Elem4(u.invTau * rows[r]); }
  }
}
