// What a step does, decided once: norm and clipping factor, whether the gradient is finite, the step count, the bias corrections
// and the next loss scale. One invocation adds the parts in order: the readable specification.
//
// A sum that overflowed counts as not finite, which its stored bits tell. A skipped step changes norm, factor, finite and the
// loss scale only.
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

@compute @workgroup_size(1)
fn main(@builtin(workgroup_id) group: vec3u) {
  if (any(group + u.origin != vec3u(0u))) { return; }
  var sum = 0.0;
  var bad = 0u;
  for (var p = 0u; p < u.parts; p++) {
    sum += squares[p];
    bad += broken[p];
  }
  decide(sum, bad);
}
