// dx = dy · act′, four neighbouring elements in each of ROWS rows per invocation.
//#params
alias Elem = f32;
const ROWS = 4u;
//#end
//#use activation
alias Elem4 = vec4<Elem>;
struct Uniforms { origin: vec3u, n: u32 }
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> dy: array<Elem4>;          // [n]
@group(0) @binding(2) var<storage, read> kept: array<Elem4>;        // [n]
@group(0) @binding(3) var<storage, read_write> dx: array<Elem4>;    // [n]

// The slope from what was kept: the result of relu, sigmoid and tanh, the argument of gelu and silu.
fn slope(kept: f32) -> f32 {
  var v = select(0.0, 1.0, kept > 0.0);
  v = geluSlope(kept);                                              //#if gelu
  v = siluSlope(kept);                                              //#if silu
  v = kept * (1.0 - kept);                                          //#if sigmoid
  v = 1.0 - kept * kept;                                            //#if tanh
  return v;
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) t: u32) {
  let width = (u.n / 4u + ROWS - 1u) / ROWS;
  let column = (group.x + u.origin.x) * 64u + t;
  if (column >= width) { return; }
  for (var i = column; i < u.n / 4u; i += width) {
    let v = vec4f(kept[i]);
    dx[i] = Elem4(vec4f(dy[i]) * vec4f(slope(v.x), slope(v.y), slope(v.z), slope(v.w)));
  }
}
