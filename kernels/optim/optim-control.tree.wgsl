// What a step does, decided once: norm and clipping factor, whether the gradient is finite, the step count, the bias corrections
// and the next loss scale. One workgroup: each invocation adds every 128th part, then a tree joins them in a fixed order.
//#params
alias Elem = f32;
//#end
//#use optimDecide
struct Uniforms { origin: vec3u, parts: u32 }
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> squares: array<f32>;          // [parts]
@group(0) @binding(2) var<storage, read> broken: array<u32>;           // [parts]
@group(0) @binding(3) var<storage, read> hyper: array<f32>;            // [10]
@group(0) @binding(4) var<storage, read_write> control: array<f32>;    // [8]

const LANES = 128u;
var<workgroup> sums: array<f32, LANES>;
var<workgroup> bads: array<u32, LANES>;

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) t: u32) {
  var sum = 0.0;
  var bad = 0u;
  for (var p = t + (group.x + u.origin.x); p < u.parts; p += LANES) {
    sum += squares[p];
    bad += broken[p];
  }
  sums[t] = sum;
  bads[t] = bad;
  workgroupBarrier();                                                  // every sum is there before the first is joined
  for (var stride = LANES / 2u; stride > 0u; stride /= 2u) {
    if (t < stride) {
      sums[t] += sums[t + stride];
      bads[t] += bads[t + stride];
    }
    workgroupBarrier();                                                // one level is done before the next reads it
  }
  if (t == 0u) { decide(sums[0], bads[0]); }
}
