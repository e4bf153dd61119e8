// The functions of `matrix` without subgroup matrices: a factor is where it lies, and each of SG invocations keeps its share of the sums.
// For checking everything around the products on any device; nothing chooses it.
struct L { at: u32, stride: u32, transposed: bool }
struct R { at: u32, stride: u32, transposed: bool }
struct C { share: array<vec4f, 64u / SG> }

struct Place { @builtin(local_invocation_id) unused: vec3u }
var<private> emulatedLane: u32;
fn ownSubgroup(place: Place, t: u32) -> u32 {
  emulatedLane = t % SG;
  return t / SG;
}

fn loadL(at: u32, stride: u32) -> L { return L(at, stride, false); }
fn loadLT(at: u32, stride: u32) -> L { return L(at, stride, true); }
fn loadR(at: u32, stride: u32) -> R { return R(at, stride, false); }
fn loadRT(at: u32, stride: u32) -> R { return R(at, stride, true); }

// Half number `column` of a row that begins at `at`, and four neighbours.
fn halfAt(at: u32, column: u32) -> f32 {
  return unpack2x16float(staged[at + column / 8u][column / 2u % 4u] >> (column % 2u * 16u)).x;
}
fn fourAt(at: u32, column: u32) -> vec4f {
  let x = staged[at + column / 8u];
  let pair = select(x.xy, x.zw, column % 8u >= 4u);
  return vec4f(unpack2x16float(pair.x), unpack2x16float(pair.y));
}
fn leftAt(l: L, row: u32, p: u32) -> f32 {
  if (l.transposed) { return halfAt(l.at + p * l.stride, row); }
  return halfAt(l.at + row * l.stride, p);
}
fn rightAt(r: R, p: u32, column: u32) -> vec4f {
  if (!r.transposed) { return fourAt(r.at + p * r.stride, column); }
  let at = r.at + column * r.stride;
  return vec4f(halfAt(at, p), halfAt(at + r.stride, p), halfAt(at + 2u * r.stride, p), halfAt(at + 3u * r.stride, p));
}

// Four neighbours in a row at a time: 64 of them in a matrix.
fn mma(l: L, r: R, sum: C) -> C {
  var next = sum;
  let end = min(16u, 16u + u.origin.z);                             // 16, which compilers cannot know: unrolled everywhere it takes them minutes
  for (var i = 0u; i < 64u / SG; i++) {
    let e = emulatedLane + i * SG;
    let column = e % 4u * 4u;
    for (var p = 0u; p < end; p++) {
      next.share[i] += leftAt(l, e / 4u, p) * rightAt(r, p, column);
    }
  }
  return next;
}

fn storeC(at: u32, sum: C, stride: u32) {
  for (var i = 0u; i < 64u / SG; i++) {
    let e = emulatedLane + i * SG;
    staged[at + e / 4u * stride + e % 4u] = bitcast<vec4u>(sum.share[i]);
  }
}
