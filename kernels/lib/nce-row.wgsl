// A row of SpatialNCE while its columns are gone through, and what it comes to.

// A row's running sums: log-sum-exp as its largest exponent and the sum relative to it, the mass, and the sums that mass weighs.
struct Row { top: f32, total: f32, mass: f32, pull: f32, spread: f32 }
// Stands for minus infinity, which WGSL may assume absent: far below any similarity.
const NOTHING = -1e30;

fn joinRows(a: Row, b: Row) -> Row {
  let top = max(a.top, b.top);
  let total = a.total * exp(a.top - top) + b.total * exp(b.top - top);
  return Row(top, total, a.mass + b.mass, a.pull + b.pull, a.spread + b.spread);
}

// log-sum-exp, mass, loss and entropy of a row; a row with no other sample has log-sum-exp 0, one without mass loss 0.
fn finishRow(row: Row) -> vec4f {
  let lse = select(0.0, row.top + log(max(row.total, 1e-37)), row.total > 0.0);
  let anchor = row.mass > 0.0;
  let mass = select(1.0, row.mass, anchor);
  return vec4f(lse, row.mass, select(0.0, lse - row.pull / mass, anchor), select(0.0, log(mass) - row.spread / mass, anchor));
}
