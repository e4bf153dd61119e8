// What the templates of a product of matrices in vectors of four have in common: they declare Elem4 and the arguments of matmul.

// Four neighbours of C, number `at` of all, in columns 4 j4 and on.
fn store(sum: vec4f, j4: u32, at: u32) {
  var y = sum;
  y += vec4f(bias[j4]);                                             //#if bias
  y = relu4(y);                                                     //#if relu
  y = gelu4(y);                                                     //#if gelu
  y = silu4(y);                                                     //#if silu
  y += vec4f(residual[at]);                                         //#if residual
  c[at] = Elem4(y);                                                 //#if !parts
  parts[at] = y;                                                    //#if parts
}

// Rows 4 p to 4 p + 3 of B in columns 4 j4 to 4 j4 + 3, column by column where B is stored as its transpose.
fn loadB(z: u32, p: u32, j4: u32) -> mat4x4f {
  var rows = mat4x4f();
  //#if !tb
  {
    let n4 = u.n / 4u;
    let row = z * u.k + 4u * p;
    let last = z * u.k + u.k - 1u;                                  // rows past the end meet zeros of A
    rows = mat4x4f(vec4f(b[min(row, last) * n4 + j4]), vec4f(b[min(row + 1u, last) * n4 + j4]),
      vec4f(b[min(row + 2u, last) * n4 + j4]), vec4f(b[min(row + 3u, last) * n4 + j4]));
  }
  //#endif
  //#if tb
  {
    let k4 = u.k / 4u;
    let at = (z * u.n + 4u * j4) * k4 + p;
    rows = transpose(mat4x4f(vec4f(b[at]), vec4f(b[at + k4]), vec4f(b[at + 2u * k4]), vec4f(b[at + 3u * k4])));
  }
  //#endif
  return rows;
}
