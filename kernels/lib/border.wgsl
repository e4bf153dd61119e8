// The image beyond its edges: mirrored there, edge pixels twice (… 1 0 | 0 1 2 …), as often as needed.
fn mirrored(i: i32, size: u32) -> u32 {
  let period = 2 * i32(size);
  var at = i % period;
  at = select(at, at + period, at < 0);
  return u32(select(at, period - 1 - at, at >= i32(size)));
}
