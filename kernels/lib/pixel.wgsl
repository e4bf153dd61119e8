// Places in a batch of images, each row-major.

// Image, row and column of the pixel at a flat index.
fn pixelAt(index: u32, height: u32, width: u32) -> vec3u {
  let line = index / width;
  return vec3u(line / height, line % height, index % width);
}

// Four neighbouring pixels of a row: image, row, first column. Rows are cut into strips; the last strip may overhang.
fn stripAt(index: u32, height: u32, width: u32) -> vec3u {
  let at = pixelAt(index, height, (width + 3u) / 4u);
  return vec3u(at.xy, at.z * 4u);
}

// First filter tap whose offset, dilation · tap, leaves `residue` when divided by the stride; 2^31 where none does.
fn firstTap(residue: u32, dilation: u32, stride: u32) -> u32 {
  for (var tap = 0u; tap < stride; tap++) {
    if (tap * dilation % stride == residue) { return tap; }
  }
  return 0x80000000u;
}
