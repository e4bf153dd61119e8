// Mean and sum of squared deviations of each column over the rows of a part, by Welford's recurrence. One invocation per column and
// part, rows part, part + parts, ….
//#params
alias Elem = f32;
//#end
struct Uniforms { origin: vec3u, rows: u32, c: u32, parts: u32, first: u32 }
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> x: array<Elem>;                  // [rows, c]
@group(0) @binding(2) var<storage, read_write> mean: array<f32>;          // [parts, c]
@group(0) @binding(3) var<storage, read_write> squares: array<f32>;       // [parts, c]

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) t: u32) {
  let e = (group.x + u.origin.x) * 64u + t;
  if (e >= u.parts * u.c) { return; }
  let j = e % u.c;
  var m = 0.0;
  var s = 0.0;
  var count = f32(u.first / u.parts);
  if (u.first > 0u) {
    m = mean[e];
    s = squares[e];
  }
  for (var r = e / u.c; r < u.rows; r += u.parts) {
    let v = f32(x[r * u.c + j]);
    let d = v - m;
    count += 1.0;
    m += d / count;
    s += d * (v - m);
  }
  mean[e] = m;
  squares[e] = s;
}
