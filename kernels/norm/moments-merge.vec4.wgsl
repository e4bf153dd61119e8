// Mean and variance (divided by the count) of each column, merged from those of its parts by Chan's formula; one invocation per
// four columns. Sizes c that are multiples of 4.
struct Uniforms { origin: vec3u, rows: u32, c: u32, parts: u32 }
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> means: array<vec4f>;             // [parts, c]
@group(0) @binding(2) var<storage, read> squares: array<vec4f>;           // [parts, c]
@group(0) @binding(3) var<storage, read_write> mean: array<vec4f>;        // [c]
@group(0) @binding(4) var<storage, read_write> variance: array<vec4f>;    // [c]

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) t: u32) {
  let c4 = u.c / 4u;
  let j = (group.x + u.origin.x) * 64u + t;
  if (j >= c4) { return; }
  var m = vec4f(0.0);
  var s = vec4f(0.0);
  var count = 0.0;
  for (var p = 0u; p < u.parts; p++) {
    // Rows p, p + parts, … belong to part p.
    let more = f32((u.rows - p + u.parts - 1u) / u.parts);
    let d = means[p * c4 + j] - m;
    let share = more / (count + more);
    m += d * share;
    s += squares[p * c4 + j] + d * d * count * share;
    count += more;
  }
  mean[j] = m;
  variance[j] = s / count;
}
