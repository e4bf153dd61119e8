// What two samples of the SpatialNCE loss are to each other, for one pair or for four columns of a row at once.
//
// The template that uses this declares the scalars reach2, rate, near2, far2 and the bindings position, space, view.
// keep: whether the pair is in the row's denominator. mass: K of the pair, 0 where it is no positive. logMass: log K.

//#use nceRow

// The columns of part `part`: a share of all that is a multiple of 64; the last may have none.
fn columnsOf(part: u32) -> vec2u {
  let share = (u.n + 64u * u.splits - 1u) / (64u * u.splits) * 64u;
  return vec2u(part * share, min((part + 1u) * share, u.n));
}

struct Place { x: f32, y: f32, z: f32, space: i32, view: u32 }
struct Pair { keep: bool, mass: f32, logMass: f32 }

fn placeOf(i: u32) -> Place {
  var place: Place;
  place.x = position[3u * i];                                        //#if distance
  place.y = position[3u * i + 1u];                                   //#if distance
  place.z = position[3u * i + 2u];                                   //#if distance
  place.space = space[i];                                            //#if distance
  place.view = view[i];                                              //#if views
  return place;
}

fn pairOf(a: Place, b: Place) -> Pair {
  var pair = Pair(true, 0.0, 0.0);
  pair.mass = select(0.0, 1.0, a.view == b.view);                    //#if views
  //#if distance
  let x = a.x - b.x;
  let y = a.y - b.y;
  let z = a.z - b.z;
  let d2 = (x * x + y * y) + z * z;
  let same = a.space == b.space;
  pair.mass = select(0.0, 1.0, same && d2 <= u.reach2);
  pair.logMass = -d2 * u.rate;                                       //#if gaussian
  pair.mass = select(0.0, exp(pair.logMass), same && d2 <= u.reach2); //#if gaussian
  pair.keep = same;                                                  //#if ignoreSpaces
  //#if band
  let banned = same && d2 > u.near2 && d2 < u.far2;
  pair.keep = pair.keep && !banned;
  pair.mass = select(pair.mass, 0.0, banned);
  //#endif
  //#endif
  return pair;
}

struct Places { x: vec4f, y: vec4f, z: vec4f, space: vec4i, view: vec4u }
struct Pairs { keep: vec4<bool>, mass: vec4f, logMass: vec4f }

// Where four samples are.
fn placesOf(i: vec4u) -> Places {
  var places: Places;
  //#if distance
  places.x = vec4f(position[3u * i.x], position[3u * i.y], position[3u * i.z], position[3u * i.w]);
  places.y = vec4f(position[3u * i.x + 1u], position[3u * i.y + 1u], position[3u * i.z + 1u], position[3u * i.w + 1u]);
  places.z = vec4f(position[3u * i.x + 2u], position[3u * i.y + 2u], position[3u * i.z + 2u], position[3u * i.w + 2u]);
  places.space = vec4i(space[i.x], space[i.y], space[i.z], space[i.w]);
  //#endif
  places.view = vec4u(view[i.x], view[i.y], view[i.z], view[i.w]);    //#if views
  return places;
}

// Row i, at `a`, against the columns j to j + 3 of n, at `b`. A pair of a sample with itself, and one past the end, is no pair.
fn pairsOf(i: u32, a: Place, j: u32, b: Places, n: u32) -> Pairs {
  let column = vec4u(j, j + 1u, j + 2u, j + 3u);
  var pairs: Pairs;
  pairs.keep = (column != vec4u(i)) & (column < vec4u(n));
  pairs.mass = select(vec4f(0.0), vec4f(1.0), b.view == vec4u(a.view)); //#if views
  //#if distance
  let x = b.x - a.x;
  let y = b.y - a.y;
  let z = b.z - a.z;
  let d2 = (x * x + y * y) + z * z;
  let same = b.space == vec4i(a.space);
  let near = same & (d2 <= vec4f(u.reach2));
  pairs.mass = select(vec4f(0.0), vec4f(1.0), near);
  pairs.logMass = -d2 * u.rate;                                      //#if gaussian
  pairs.mass = select(vec4f(0.0), exp(pairs.logMass), near);         //#if gaussian
  pairs.keep = pairs.keep & same;                                    //#if ignoreSpaces
  pairs.keep = pairs.keep & !(same & (d2 > vec4f(u.near2)) & (d2 < vec4f(u.far2))); //#if band
  //#endif
  pairs.mass = select(vec4f(0.0), pairs.mass, pairs.keep);
  return pairs;
}

fn foldPairs(row: Row, s: vec4f, pairs: Pairs) -> Row {
  let shown = select(vec4f(NOTHING), s, pairs.keep);
  let top = max(row.top, max(max(shown.x, shown.y), max(shown.z, shown.w)));
  let e = select(vec4f(0.0), exp(shown - top), pairs.keep);
  let total = row.total * exp(row.top - top) + ((e.x + e.y) + (e.z + e.w));
  let m = pairs.mass;
  return Row(top, total, row.mass + ((m.x + m.y) + (m.z + m.w)), row.pull + dot(m, s), row.spread + dot(m, pairs.logMass));
}

// (p_ij - q_ij) of row i and (p_ji - q_ji) of row j, anchors without mass left out: what the gradient weighs z_j with.
// `inverse` and `inverses` are 1 / mass, and 0 without mass.
fn weightsOf(s: vec4f, pairs: Pairs, lse: f32, inverse: f32, lses: vec4f, inverses: vec4f) -> vec4f {
  let own = select(vec4f(0.0), exp(s - lse) - pairs.mass * inverse, vec4<bool>(inverse > 0.0));
  let other = select(vec4f(0.0), exp(s - lses) - pairs.mass * inverses, inverses > vec4f(0.0));
  return select(vec4f(0.0), own + other, pairs.keep);
}
fn inverseOf(mass: f32) -> f32 { return select(0.0, 1.0 / max(mass, 1e-30), mass > 0.0); }
fn inversesOf(masses: vec4f) -> vec4f { return select(vec4f(0.0), 1.0 / max(masses, vec4f(1e-30)), masses > vec4f(0.0)); }
