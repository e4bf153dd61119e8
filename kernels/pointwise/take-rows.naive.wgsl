// part[i] = all[first + i]; one invocation per element of part. Rows beyond the matrix are its last.
//#params
alias Elem = f32;
//#end
struct Uniforms { origin: vec3u, total: u32, rows: u32, c: u32 }
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> first: array<u32>;          // [1]
@group(0) @binding(2) var<storage, read> all: array<Elem>;           // [total, c]
@group(0) @binding(3) var<storage, read_write> part: array<Elem>;    // [rows, c]

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) t: u32) {
  let i = (group.x + u.origin.x) * 64u + t;
  if (i >= u.rows * u.c) { return; }
  part[i] = all[min(first[0] + i / u.c, u.total - 1u) * u.c + i % u.c];
}
