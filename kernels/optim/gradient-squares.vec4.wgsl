// Sum of squares of the scaled gradient and count of its non-finite elements; a part takes every parts-th group of four.
//
// What is not finite is found by the stored bits: arithmetic may assume that it does not exist. It adds nothing to the sum.
//#params
alias Elem = f32;
//#end
//#use optim
alias Elem4 = vec4<Elem>;
struct Uniforms { origin: vec3u, n: u32, parts: u32, first: u32 }
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> gradients: array<Elem4>;      // [n]
@group(0) @binding(2) var<storage, read> hyper: array<f32>;            // [10]
@group(0) @binding(3) var<storage, read> control: array<f32>;          // [8]
@group(0) @binding(4) var<storage, read_write> squares: array<f32>;    // [parts]
@group(0) @binding(5) var<storage, read_write> broken: array<u32>;     // [parts]

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) t: u32) {
  let p = (group.x + u.origin.x) * 64u + t;
  if (p >= u.parts) { return; }
  let scale = hyper[GRADIENT_SCALE] / select(1.0, control[LOSS_SCALE], control[LOSS_SCALE] > 0.0);
  var sum = 0.0;
  var bad = 0u;
  if (u.first > 0u) {
    sum = squares[p];
    bad = broken[p];
  }
  for (var i = p; i < u.n / 4u; i += u.parts) {
    let g = gradients[i];
    let isBad = (bitcast<vec4u>(g) & vec4u(0x7f800000u)) == vec4u(0x7f800000u);
    let bads = select(vec4u(0u), vec4u(1u), isBad);
    bad += (bads.x + bads.y) + (bads.z + bads.w);
    let scaled = select(g, vec4f(0.0), isBad) * scale;
    let four = scaled * scaled;
    sum += (four.x + four.y) + (four.z + four.w);
  }
  squares[p] = sum;
  broken[p] = bad;
}
