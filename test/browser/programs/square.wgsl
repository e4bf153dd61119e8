// Squares every number in place; what lies beyond the end is left alone.
@group(0) @binding(0) var<storage, read_write> x: array<f32>; // [n]

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) gid: vec3u) {
  if (gid.x < arrayLength(&x)) {
    x[gid.x] = x[gid.x] * x[gid.x];
  }
}
