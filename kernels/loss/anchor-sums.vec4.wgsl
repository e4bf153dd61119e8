// Partial sums over anchors, four neighbouring parts an invocation: its rows are one vector of each part's stride. Sizes n and
// parts that are multiples of 4.
//#params
alias Elem = f32;
//#end
struct Uniforms { origin: vec3u, n: u32, parts: u32 }
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> loss: array<vec4f>;           // [n]
@group(0) @binding(2) var<storage, read> entropy: array<vec4f>;        // [n]
@group(0) @binding(3) var<storage, read> mass: array<vec4f>;           // [n]
@group(0) @binding(4) var<storage, read_write> sums: array<vec4f>;     // [parts, 3]

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) t: u32) {
  let p = (group.x + u.origin.x) * 64u + t;
  if (p >= u.parts / 4u) { return; }
  var a = vec4f(0.0);
  var b = vec4f(0.0);
  var c = vec4f(0.0);
  for (var i = p; i < u.n / 4u; i += u.parts / 4u) {
    a += loss[i];
    b += entropy[i];
    c += select(vec4f(0.0), vec4f(1.0), mass[i] > vec4f(0.0));
  }
  // Rows of three, four of them: twelve numbers in a row.
  sums[3u * p] = vec4f(a.x, b.x, c.x, a.y);
  sums[3u * p + 1u] = vec4f(b.y, c.y, a.z, b.z);
  sums[3u * p + 2u] = vec4f(c.z, a.w, b.w, c.w);
}
