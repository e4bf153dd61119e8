// delta = Σ_c out · dOut over each head of each query: what the backward pass of softmax subtracts. One invocation per row.
//#params
alias Elem = f32;
//#end
struct Uniforms { origin: vec3u, b: u32, h: u32, n: u32, d: u32 }
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> out: array<Elem>;          // [b, n, h, d]
@group(0) @binding(2) var<storage, read> dOut: array<Elem>;         // [b, n, h, d]
@group(0) @binding(3) var<storage, read_write> delta: array<f32>;   // [b, h, n]

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) t: u32) {
  let wg = group + u.origin;
  let i = wg.x * 64u + t;
  if (i >= u.n) { return; }
  let at = ((wg.z * u.n + i) * u.h + wg.y) * u.d;
  var sum = 0.0;
  for (var c = 0u; c < u.d; c++) { sum += f32(out[at + c]) * f32(dOut[at + c]); }
  delta[(wg.z * u.h + wg.y) * u.n + i] = sum;
}
