// Counter-based random numbers, Philox4x32-10 (Salmon, Moraes, Dror, Shaw, SC 2011): the same bits as src/kernel/rng.ts.

// The upper 32 bits of a product, from 16-bit halves: WGSL has no 64-bit integers.
fn multiplyHigh(a: u32, b: u32) -> u32 {
  let aLow = a & 0xffffu;
  let aHigh = a >> 16u;
  let bLow = b & 0xffffu;
  let bHigh = b >> 16u;
  let middle = aHigh * bLow + ((aLow * bLow) >> 16u);
  let carry = aLow * bHigh + (middle & 0xffffu);
  return aHigh * bHigh + (middle >> 16u) + (carry >> 16u);
}

// 128 random bits for a counter under a key.
fn philox4x32(counter: vec4u, key: vec2u) -> vec4u {
  var c = counter;
  var k = key;
  for (var round = 0u; round < 10u; round++) {
    c = vec4u(
      multiplyHigh(0xcd9e8d57u, c.z) ^ c.y ^ k.x,
      c.z * 0xcd9e8d57u,
      multiplyHigh(0xd2511f53u, c.x) ^ c.w ^ k.y,
      c.x * 0xd2511f53u,
    );
    k += vec2u(0x9e3779b9u, 0xbb67ae85u);
  }
  return c;
}

// Words as numbers in [0, 1): their upper 24 bits, which f32 holds exactly.
fn toUniform4(words: vec4u) -> vec4f { return vec4f(words >> vec4u(8u)) * 0x1p-24f; }
