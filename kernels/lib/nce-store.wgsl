// What becomes of a row of SpatialNCE: its results, or with `parts` what a part of the columns gives to them, each sum a line of n.

fn store(i: u32, part: u32, row: Row) {
  if (i >= u.n) { return; }
  //#if !parts
  {
    let result = finishRow(row);
    lse[i] = result.x;
    mass[i] = result.y;
    loss[i] = result.z;
    entropy[i] = result.w;
  }
  //#endif
  //#if parts
  {
    let at = 5u * part * u.n + i;
    parts[at] = select(0.0, row.top, row.total > 0.0);
    parts[at + u.n] = row.total;
    parts[at + 2u * u.n] = row.mass;
    parts[at + 3u * u.n] = row.pull;
    parts[at + 4u * u.n] = row.spread;
  }
  //#endif
}
