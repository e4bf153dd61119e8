// Learned positions on another grid: bicubic interpolation as matrices, the same on the host and in a trace.

/** Keys' cubic with a = −1/2, as Pillow, PyTorch's antialiased resize and hence timm have it. */
function cubic(x: number): number {
  const t = Math.abs(x);
  if (t < 1) return (1.5 * t - 2.5) * t * t + 1;
  return t < 2 ? ((-0.5 * t + 2.5) * t - 4) * t + 2 : 0;
}

/**
 * Weights [to, from] that bring `from` even samples to `to`: pixel areas aligned, the kernel widened where the grid becomes coarser
 * (antialiasing), weights beyond the border left out and the rest brought to a sum of 1.
 */
function bicubicLine(from: number, to: number): Float64Array {
  const weights = new Float64Array(to * from);
  const scale = from / to;
  const width = Math.max(1, scale);
  for (let i = 0; i < to; i++) {
    const centre = scale * (i + 0.5);
    let sum = 0;
    for (let j = 0; j < from; j++) sum += weights[i * from + j] = cubic((j + 0.5 - centre) / width);
    for (let j = 0; j < from; j++) weights[i * from + j]! /= sum;
  }
  return weights;
}

/** [th · tw, fh · fw]: what a grid of values [fh, fw] is multiplied by to become one of [th, tw], both in row order. */
export function bicubicGrid([fh, fw]: readonly [number, number], [th, tw]: readonly [number, number]): Float32Array {
  const rows = bicubicLine(fh, th);
  const columns = bicubicLine(fw, tw);
  const weights = new Float32Array(th * tw * fh * fw);
  let at = 0;
  for (let i = 0; i < th; i++)
    for (let j = 0; j < tw; j++) for (let y = 0; y < fh; y++) for (let x = 0; x < fw; x++) weights[at++] = rows[i * fh + y]! * columns[j * fw + x]!;
  return weights;
}

/** Values [from, c] of a grid, in row order, on another grid: [to, c], with the weights of `bicubicGrid`, which for large grids would not fit into memory. Sums in f64. */
export function resamplePositions(values: Float32Array, [fh, fw]: readonly [number, number], [th, tw]: readonly [number, number], c: number): Float32Array {
  const rows = bicubicLine(fh, th);
  const columns = bicubicLine(fw, tw);
  const out = new Float32Array(th * tw * c);
  const sum = new Float64Array(c);
  for (let i = 0; i < th; i++)
    for (let j = 0; j < tw; j++) {
      sum.fill(0);
      for (let y = 0; y < fh; y++) {
        const across = rows[i * fh + y]!;
        if (across === 0) continue;
        for (let x = 0; x < fw; x++) {
          const weight = Math.fround(across * columns[j * fw + x]!);
          if (weight !== 0) for (let k = 0; k < c; k++) sum[k]! += weight * values[(y * fw + x) * c + k]!;
        }
      }
      out.set(sum, (i * tw + j) * c);
    }
  return out;
}
