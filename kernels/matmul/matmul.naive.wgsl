// C = act(A · B + bias) + residual, one invocation per element of C: the readable specification.
//#params
alias Elem = f32;
//#end
//#use activation share
struct Uniforms { origin: vec3u, batch: u32, batchA: u32, batchB: u32, m: u32, n: u32, k: u32, splits: u32 }
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> a: array<Elem>;            // [batchA, m, k]
@group(0) @binding(2) var<storage, read> b: array<Elem>;            // [batchB, k, n]
@group(0) @binding(3) var<storage, read_write> c: array<Elem>;      // [batch, m, n] //#if !parts
@group(0) @binding(4) var<storage, read> bias: array<Elem>;         // [n] //#if bias
@group(0) @binding(5) var<storage, read> residual: array<Elem>;     // [batch, m, n] //#if residual
@group(0) @binding(6) var<storage, read_write> parts: array<f32>;   // [splits, batch, m, n] //#if parts

@compute @workgroup_size(8, 8)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) local: vec3u) {
  let wg = group + u.origin;
  let i = wg.y * 8u + local.y;
  let j = wg.x * 8u + local.x;
  if (i >= u.m || j >= u.n) { return; }
  let own = shareOf(wg.z);
  var sum = 0.0;
  for (var p = own.start; p < own.end; p++) {
    var atA = (own.za * u.m + i) * u.k + p;
    var atB = (own.zb * u.k + p) * u.n + j;
    atA = (own.za * u.k + p) * u.m + i;                             //#if ta
    atB = (own.zb * u.n + j) * u.k + p;                             //#if tb
    sum += f32(a[atA]) * f32(b[atB]);
  }
  sum += f32(bias[j]);                                              //#if bias
  sum = relu(sum);                                                  //#if relu
  sum = gelu(sum);                                                  //#if gelu
  sum = silu(sum);                                                  //#if silu
  let at = (wg.z * u.m + i) * u.n + j;
  sum += f32(residual[at]);                                         //#if residual
  c[at] = Elem(sum);                                                //#if !parts
  parts[at] = sum;                                                  //#if parts
}
