// dz_i = (1/τ) Σ_j [a_i (p_ij - q_ij) + a_j (p_ji - q_ji)] z_j over j ≠ i, left-out pairs omitted: the gradient of Σ_i loss_i;
// p_ij = exp(s_ij - lse_i), q_ij = K_ij / mass_i, a_i = 1 where mass_i > 0. One invocation per row: the readable specification.
//#params
alias Elem = f32;
//#end
//#use ncePair
struct Uniforms { origin: vec3u, n: u32, d: u32, splits: u32, invTau: f32, reach2: f32, rate: f32, near2: f32, far2: f32 }
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> z: array<Elem>;                // [n, d]
@group(0) @binding(2) var<storage, read> position: array<f32>;         // [n, 3] //#if distance
@group(0) @binding(3) var<storage, read> space: array<i32>;            // [n] //#if distance
@group(0) @binding(4) var<storage, read> view: array<u32>;             // [n] //#if views
@group(0) @binding(5) var<storage, read> lse: array<f32>;              // [n]
@group(0) @binding(6) var<storage, read> mass: array<f32>;             // [n]
@group(0) @binding(7) var<storage, read_write> dz: array<Elem>;         // [splits, n, d]

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) t: u32) {
  let wg = group + u.origin;
  let i = wg.x * 64u + t;
  if (i >= u.n) { return; }
  let here = placeOf(i);
  let columns = columnsOf(wg.z);
  let to = (wg.z * u.n + i) * u.d;
  for (var k = 0u; k < u.d; k++) { dz[to + k] = Elem(0.0); }
  for (var j = columns.x; j < columns.y; j++) {
    let pair = pairOf(here, placeOf(j));
    if (j == i || !pair.keep) { continue; }
    var sum = 0.0;
    for (var k = 0u; k < u.d; k++) { sum += f32(z[i * u.d + k]) * f32(z[j * u.d + k]); }
    let s = sum * u.invTau;
    var weight = 0.0;
    if (mass[i] > 0.0) { weight += exp(s - lse[i]) - pair.mass / mass[i]; }
    if (mass[j] > 0.0) { weight += exp(s - lse[j]) - pair.mass / mass[j]; }
    for (var k = 0u; k < u.d; k++) { dz[to + k] += Elem(u.invTau * weight * f32(z[j * u.d + k])); }
  }
}
