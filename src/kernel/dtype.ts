// Element types: their sizes, their rounding, and the conversion between host arrays and the bytes a buffer holds.

/** Element type of a tensor in memory. */
export type Dtype = "f32" | "f16" | "u32" | "i32";

/** Host array of a dtype; f16 travels as the bits of IEEE binary16. */
export type HostArray = Float32Array | Uint16Array | Uint32Array | Int32Array;

const BYTES: Record<Dtype, number> = { f32: 4, f16: 2, u32: 4, i32: 4 };

/** Bytes of one element. */
export function bytesOf(dtype: Dtype): number {
  return BYTES[dtype];
}

/** Distance between 1 and the next representable number; 0 for integers. */
export function epsilonOf(dtype: Dtype): number {
  return dtype === "f32" ? 2 ** -23 : dtype === "f16" ? 2 ** -10 : 0;
}

const HOST_ARRAYS = { f32: "Float32Array", f16: "Uint16Array", u32: "Uint32Array", i32: "Int32Array" } as const;

/** What is wrong with `data` as the host array of `count` elements of a dtype, or undefined: other types would be taken for other bits. */
export function describeMismatch(dtype: Dtype, count: number, data: HostArray): string | undefined {
  const type = Object.prototype.toString.call(data).slice(8, -1);
  return type === HOST_ARRAYS[dtype] && data.length === count ? undefined : `a ${type} of ${data.length}, expected a ${HOST_ARRAYS[dtype]} of ${count}`;
}

/** Bytes that a buffer of `count` elements takes: whole 4-byte words, as WebGPU copies demand, and at least one. */
export function storageBytes(dtype: Dtype, count: number): number {
  return Math.max(4, Math.ceil((count * BYTES[dtype]) / 4) * 4);
}

/** The rounding of a value stored in `dtype`, to nearest even. */
export function rounderOf(dtype: Dtype): (x: number) => number {
  switch (dtype) {
    case "f32":
      return Math.fround;
    case "f16":
      return (x) => halfToNumber(numberToHalf(x));
    case "u32":
      return (x) => x >>> 0;
    case "i32":
      return (x) => x | 0;
  }
}

/** Bits of the nearest IEEE binary16; halves go to even, overflow to infinity. */
export function numberToHalf(value: number): number {
  if (Number.isNaN(value)) return 0x7e00;
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0;
  const magnitude = Math.abs(value);
  if (magnitude >= 65520) return sign | 0x7c00;
  // Steps of 2^-24 below 2^-14 (subnormal), of 2^(e-10) above: scaled so that the step is 1, then rounded to even.
  const exponent = Math.max(-14, magnitude === 0 ? -14 : floorLog2(magnitude));
  const steps = roundHalfEven(magnitude * 2 ** (10 - exponent));
  return sign | (((exponent + 14) << 10) + steps);
}

/** The number that the bits of an IEEE binary16 stand for. */
export function halfToNumber(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return sign * (exponent === 0 ? fraction * 2 ** -24 : (1024 + fraction) * 2 ** (exponent - 25));
}

function floorLog2(x: number): number {
  let e = Math.floor(Math.log2(x));
  if (2 ** e > x) e--;
  if (2 ** (e + 1) <= x) e++;
  return e;
}

function roundHalfEven(x: number): number {
  const floor = Math.floor(x);
  const rest = x - floor;
  return rest > 0.5 || (rest === 0.5 && floor % 2 === 1) ? floor + 1 : floor;
}

/** Numbers as the host array of a dtype; each is rounded to it. */
export function toHostArray(dtype: Dtype, values: ArrayLike<number>): HostArray {
  switch (dtype) {
    case "f32":
      return Float32Array.from(values);
    case "f16":
      return Uint16Array.from(values, numberToHalf);
    case "u32":
      return Uint32Array.from(values);
    case "i32":
      return Int32Array.from(values);
  }
}

/** `count` elements out of a buffer's bytes, as a host array that owns its memory. */
export function hostArrayOf(dtype: Dtype, bytes: ArrayBuffer, count: number): HostArray {
  switch (dtype) {
    case "f32":
      return new Float32Array(bytes.slice(0, count * 4));
    case "f16":
      return new Uint16Array(bytes.slice(0, count * 2));
    case "u32":
      return new Uint32Array(bytes.slice(0, count * 4));
    case "i32":
      return new Int32Array(bytes.slice(0, count * 4));
  }
}

/** The values of a host array as numbers. */
export function toNumbers(dtype: Dtype, data: HostArray): Float64Array {
  return dtype === "f16" ? Float64Array.from(data, halfToNumber) : Float64Array.from(data);
}
