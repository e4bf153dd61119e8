// Activation functions on one f32 or on four; every kernel with an epilogue applies these.

// What is not below 0 stays, NaN with it: max may swallow NaN, and then nobody sees where it came from.
fn relu(x: f32) -> f32 { return select(x, 0.0, x < 0.0); }
fn relu4(x: vec4f) -> vec4f { return select(x, vec4f(0.0), x < vec4f(0.0)); }

// 1 / (1 + exp(-x)) without overflow: exp of a number that is never positive.
fn sigmoid(x: f32) -> f32 {
  let e = exp(-abs(x));
  return select(e, 1.0, x >= 0.0) / (1.0 + e);
}
// The built-in may be wrong by 1e-5; this by what exp and a division lose.
fn hyperbolicTangent(x: f32) -> f32 {
  let e = exp(-2.0 * abs(x));
  return sign(x) * (1.0 - e) / (1.0 + e);
}
fn silu(x: f32) -> f32 { return x * sigmoid(x); }
fn silu4(x: vec4f) -> vec4f { return vec4f(silu(x.x), silu(x.y), silu(x.z), silu(x.w)); }

// Complementary error function for x >= 0 as exp(-x²) P(t), t = 1/(1 + p x), after Abramowitz and Stegun 7.1.26:
// absolute error below 1.5e-7, which is 1.3 ulp of 1.
fn erfc0(x: f32) -> f32 {
  let t = 1.0 / (1.0 + 0.3275911 * x);
  return ((((1.061405429 * t - 1.453152027) * t + 1.421413741) * t - 0.284496736) * t + 0.254829592) * t * exp(-x * x);
}
// Distribution function of the standard normal.
fn normalCdf(x: f32) -> f32 {
  let tail = 0.5 * erfc0(abs(x) * 0.70710678);
  return select(tail, 1.0 - tail, x >= 0.0);
}
fn gelu(x: f32) -> f32 { return x * normalCdf(x); }
fn gelu4(x: vec4f) -> vec4f { return vec4f(gelu(x.x), gelu(x.y), gelu(x.z), gelu(x.w)); }

// Slopes at x: Φ(x) + x φ(x), and σ(x) (1 + x (1 − σ(x))).
fn geluSlope(x: f32) -> f32 { return normalCdf(x) + x * 0.3989422804 * exp(-0.5 * x * x); }
fn siluSlope(x: f32) -> f32 {
  let s = sigmoid(x);
  return s * (1.0 + x * (1.0 - s));
}
