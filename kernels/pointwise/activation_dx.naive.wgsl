// dx = dy · act′, one invocation per element: the readable specification.
//#params
alias Elem = f32;
//#end
//#use activation
struct Uniforms { origin: vec3u, n: u32 }
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> dy: array<Elem>;           // [n]
@group(0) @binding(2) var<storage, read> kept: array<Elem>;         // [n]
@group(0) @binding(3) var<storage, read_write> dx: array<Elem>;     // [n]

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
  let i = (group.x + u.origin.x) * 64u + t;
  if (i >= u.n) { return; }
  dx[i] = Elem(f32(dy[i]) * slope(f32(kept[i])));
}
