// Per row i: lse = log Σ_j exp(s_ij), mass = Σ_j K_ij, loss = lse - Σ_j K_ij s_ij / mass, entropy = log mass - Σ_j K_ij log K_ij / mass,
// with s_ij = ⟨z_i, z_j⟩ / τ over j ≠ i, left-out pairs omitted; one invocation per row: the readable specification.
//#params
alias Elem = f32;
//#end
//#use ncePair nceStore
struct Uniforms { origin: vec3u, n: u32, d: u32, splits: u32, invTau: f32, reach2: f32, rate: f32, near2: f32, far2: f32 }
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> z: array<Elem>;               // [n, d]
@group(0) @binding(2) var<storage, read> position: array<f32>;         // [n, 3] //#if distance
@group(0) @binding(3) var<storage, read> space: array<i32>;            // [n] //#if distance
@group(0) @binding(4) var<storage, read> view: array<u32>;             // [n] //#if views
@group(0) @binding(5) var<storage, read_write> lse: array<f32>;        // [n] //#if !parts
@group(0) @binding(6) var<storage, read_write> mass: array<f32>;       // [n] //#if !parts
@group(0) @binding(7) var<storage, read_write> loss: array<f32>;       // [n] //#if !parts
@group(0) @binding(8) var<storage, read_write> entropy: array<f32>;    // [n] //#if !parts
@group(0) @binding(9) var<storage, read_write> parts: array<f32>;      // [splits, 5, n] //#if parts

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) t: u32) {
  let wg = group + u.origin;
  let i = wg.x * 64u + t;
  if (i >= u.n) { return; }
  let here = placeOf(i);
  var columns = vec2u(0u, u.n);
  columns = columnsOf(wg.z);                                           //#if parts
  var row = Row(NOTHING, 0.0, 0.0, 0.0, 0.0);
  for (var j = columns.x; j < columns.y; j++) {
    let pair = pairOf(here, placeOf(j));
    if (j == i || !pair.keep) { continue; }
    var sum = 0.0;
    for (var k = 0u; k < u.d; k++) { sum += f32(z[i * u.d + k]) * f32(z[j * u.d + k]); }
    let s = sum * u.invTau;
    row = joinRows(row, Row(s, 1.0, pair.mass, pair.mass * s, pair.mass * pair.logMass));
  }
  store(i, wg.z, row);
}
