// Pooling windows along one axis: window o covers places o · stride to o · stride + taps of the padded axis.

// The windows, first to one past the last, that hold a place of the padded axis.
fn windowsOf(place: u32, taps: u32, stride: u32, count: u32) -> vec2u {
  let first = select(0u, (place - taps) / stride + 1u, place >= taps);
  return vec2u(first, min(count, place / stride + 1u));
}

// How many taps of a window lie inside the axis before padding. Of an axis that is seen in part, the padding may be less than none: it wraps.
fn insideTaps(index: u32, taps: u32, stride: u32, pad: u32, extent: u32) -> u32 {
  let start = i32(index * stride - pad);
  return u32(min(start + i32(taps), i32(extent)) - max(start, 0));
}
