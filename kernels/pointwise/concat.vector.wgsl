// y = rows of up to four tensors side by side where all widths are multiples of four, one vector per invocation.
//#params
alias Elem = f32;
//#end
alias Elem4 = vec4<Elem>;
struct Uniforms { origin: vec3u, outer: u32, w0: u32, w1: u32, w2: u32, w3: u32, width: u32 }
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> x0: array<Elem4>;          // [outer, w0]
@group(0) @binding(2) var<storage, read> x1: array<Elem4>;          // [outer, w1]
@group(0) @binding(3) var<storage, read> x2: array<Elem4>;          // [outer, w2]  //#if three
@group(0) @binding(4) var<storage, read> x3: array<Elem4>;          // [outer, w3]  //#if four
@group(0) @binding(5) var<storage, read_write> y: array<Elem4>;     // [outer, width]

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) t: u32) {
  let i = (group.x + u.origin.x) * 64u + t;
  let width = u.width / 4u;
  if (i >= u.outer * width) { return; }
  let row = i / width;
  var j = i % width;
  if (j < u.w0 / 4u) {
    y[i] = x0[row * (u.w0 / 4u) + j];
    return;
  }
  j -= u.w0 / 4u;
  if (j < u.w1 / 4u) {
    y[i] = x1[row * (u.w1 / 4u) + j];
    return;
  }
  j -= u.w1 / 4u;
  //#if three
  if (j < u.w2 / 4u) {
    y[i] = x2[row * (u.w2 / 4u) + j];
    return;
  }
  j -= u.w2 / 4u;
  //#endif
  y[i] = x3[row * (u.w3 / 4u) + j];                                   //#if four
}
