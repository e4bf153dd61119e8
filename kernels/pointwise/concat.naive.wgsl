// y = rows of up to four tensors side by side, one invocation per element: the readable specification.
//#params
alias Elem = f32;
//#end
struct Uniforms { origin: vec3u, outer: u32, w0: u32, w1: u32, w2: u32, w3: u32, width: u32 }
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> x0: array<Elem>;           // [outer, w0]
@group(0) @binding(2) var<storage, read> x1: array<Elem>;           // [outer, w1]
@group(0) @binding(3) var<storage, read> x2: array<Elem>;           // [outer, w2]  //#if three
@group(0) @binding(4) var<storage, read> x3: array<Elem>;           // [outer, w3]  //#if four
@group(0) @binding(5) var<storage, read_write> y: array<Elem>;      // [outer, width]

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) t: u32) {
  let i = (group.x + u.origin.x) * 64u + t;
  let width = u.width;
  if (i >= u.outer * width) { return; }
  let row = i / width;
  var j = i % width;
  if (j < u.w0) {
    y[i] = x0[row * u.w0 + j];
    return;
  }
  j -= u.w0;
  if (j < u.w1) {
    y[i] = x1[row * u.w1 + j];
    return;
  }
  j -= u.w1;
  //#if three
  if (j < u.w2) {
    y[i] = x2[row * u.w2 + j];
    return;
  }
  j -= u.w2;
  //#endif
  y[i] = x3[row * u.w3 + j];                                   //#if four
}
