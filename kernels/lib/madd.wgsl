// The step of a register tile: one row of C gains a · B over four steps of k, a.x times the first row of B and so on.

fn madd(a: vec4f, b0: vec4f, b1: vec4f, b2: vec4f, b3: vec4f, c: vec4f) -> vec4f {
  return fma(vec4f(a.w), b3, fma(vec4f(a.z), b2, fma(vec4f(a.y), b1, fma(vec4f(a.x), b0, c))));
}
