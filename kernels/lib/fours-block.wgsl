// The block of A that an invocation of a product in tiles brings: beside lib/fours.

// Rows i to i + 3 of A, steps 4 p to 4 p + 3 of k; zeros past the end of k.
fn loadA(z: u32, i: u32, p: u32) -> mat4x4f {
  var rows = mat4x4f();
  //#if !ta
  if (4u * p < u.k) {
    let k4 = u.k / 4u;
    let last = u.m - 1u;
    rows = mat4x4f(vec4f(a[(z * u.m + min(i, last)) * k4 + p]), vec4f(a[(z * u.m + min(i + 1u, last)) * k4 + p]),
      vec4f(a[(z * u.m + min(i + 2u, last)) * k4 + p]), vec4f(a[(z * u.m + min(i + 3u, last)) * k4 + p]));
  }
  //#endif
  //#if ta
  {
    let m4 = u.m / 4u;
    let at = (z * u.k + 4u * p) * m4 + min(i / 4u, m4 - 1u);
    if (4u * p < u.k) { rows[0] = vec4f(a[at]); }
    if (4u * p + 1u < u.k) { rows[1] = vec4f(a[at + m4]); }
    if (4u * p + 2u < u.k) { rows[2] = vec4f(a[at + 2u * m4]); }
    if (4u * p + 3u < u.k) { rows[3] = vec4f(a[at + 3u * m4]); }
    rows = transpose(rows);
  }
  //#endif
  return rows;
}
