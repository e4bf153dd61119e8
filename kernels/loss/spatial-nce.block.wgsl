// The rows of SpatialNCE, tiled through workgroup memory.
//
//   workgroup   64 rows, passing over the columns 64 at a time (see lib/nce-tile)
//   invocation  an online log-sum-exp of one half of a row; at the end the two halves are joined
//#params
alias Elem = f32;
//#end
//#use ncePair nceStore nceTile
alias Elem4 = vec4<Elem>;
struct Uniforms { origin: vec3u, n: u32, d: u32, splits: u32, invTau: f32, reach2: f32, rate: f32, near2: f32, far2: f32 }
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> z: array<Elem4>;              // [n, d]
@group(0) @binding(2) var<storage, read> position: array<f32>;         // [n, 3] //#if distance
@group(0) @binding(3) var<storage, read> space: array<i32>;            // [n] //#if distance
@group(0) @binding(4) var<storage, read> view: array<u32>;             // [n] //#if views
@group(0) @binding(5) var<storage, read_write> lse: array<f32>;        // [n] //#if !parts
@group(0) @binding(6) var<storage, read_write> mass: array<f32>;       // [n] //#if !parts
@group(0) @binding(7) var<storage, read_write> loss: array<f32>;       // [n] //#if !parts
@group(0) @binding(8) var<storage, read_write> entropy: array<f32>;    // [n] //#if !parts
@group(0) @binding(9) var<storage, read_write> parts: array<f32>;      // [splits, 5, n] //#if parts

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) t: u32) {
  let wg = group + u.origin;
  let first = wg.x * SIDE;
  let own = t % SIDE;
  let half = t / SIDE;
  let i = first + own;
  let last = u.n - 1u;
  let here = placeOf(min(i, last));
  var columns = vec2u(0u, u.n);
  columns = columnsOf(wg.z);                                           //#if parts
  var row = Row(NOTHING, 0.0, 0.0, 0.0, 0.0);
  for (var j = columns.x; j < columns.y; j += SIDE) {
    let s = similarities(first, j, t);
    storeTile(s, t);
    workgroupBarrier();                                                // the similarities are there
    for (var q = 0u; q < rolled(8u); q++) {
      let c4 = 8u * half + q;
      let c = j + 4u * c4;
      let there = placesOf(min(vec4u(c, c + 1u, c + 2u, c + 3u), vec4u(last)));
      row = foldPairs(row, staged[placeInTile(own, c4)] * u.invTau, pairsOf(i, here, c, there, u.n));
    }
    workgroupBarrier();                                                // all have read them
  }
  if (half == 1u) {
    staged[own] = vec4f(row.top, row.total, row.mass, row.pull);
    staged[SIDE + own].x = row.spread;
  }
  workgroupBarrier();                                                  // the second halves are there
  if (half == 0u) {
    let x = staged[own];
    store(i, wg.z, joinRows(row, Row(x.x, x.y, x.z, x.w, staged[SIDE + own].x)));
  }
}
