// The functions of `matrix` without subgroup matrices: a factor is where it lies, and each of SG invocations keeps its share of the sums.
// For checking everything around the products on any device; nothing chooses it.
struct L { at: u32, alongRow: u32, alongP: u32 }                    // in halves, as the strides from element to element
struct R { at: u32, alongP: u32, alongColumn: u32 }
struct C { share: array<vec4f, 64u / SG> }

struct Place { @builtin(local_invocation_id) unused: vec3u }
var<private> emulatedLane: u32;
fn ownSubgroup(place: Place, t: u32) -> u32 {
  emulatedLane = t % SG;
  return t / SG;
}

fn loadL(at: u32, stride: u32) -> L { return L(8u * at, 8u * stride, 1u); }
fn loadLT(at: u32, stride: u32) -> L { return L(8u * at, 1u, 8u * stride); }
fn loadR(at: u32, stride: u32) -> R { return R(8u * at, 8u * stride, 1u); }
fn loadRT(at: u32, stride: u32) -> R { return R(8u * at, 1u, 8u * stride); }

fn halfAt(i: u32) -> f32 { return unpack2x16float(staged[i / 8u][i / 2u % 4u] >> (i % 2u * 16u)).x; }

// n, which compilers cannot know: loops unrolled everywhere take them minutes.
fn ended(n: u32) -> u32 { return min(n, n + u.origin.z); }

// Four neighbours in a row at a time: 64 of them in a matrix.
fn mma(l: L, r: R, sum: C) -> C {
  var next = sum;
  for (var i = 0u; i < 64u / SG; i++) {
    let e = emulatedLane + i * SG;
    let row = l.at + e / 4u * l.alongRow;
    let column = r.at + e % 4u * 4u * r.alongColumn;
    for (var p = 0u; p < ended(16u); p++) {
      let at = column + p * r.alongP;
      next.share[i] += halfAt(row + p * l.alongP) * vec4f(halfAt(at), halfAt(at + r.alongColumn), halfAt(at + 2u * r.alongColumn), halfAt(at + 3u * r.alongColumn));
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
