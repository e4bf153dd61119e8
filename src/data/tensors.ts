// A tensor at rest: element type, shape and little-endian bytes, as files hold it.

/** Bytes per element of every element type, by its safetensors name. */
export const ELEMENT_BYTES = {
  F64: 8, I64: 8, U64: 8,
  F32: 4, I32: 4, U32: 4,
  F16: 2, BF16: 2, I16: 2, U16: 2,
  I8: 1, U8: 1, BOOL: 1,
} as const;

export type ElementType = keyof typeof ELEMENT_BYTES;

/** `data` holds the elements in row-major order, little-endian, without gaps. */
export interface StoredTensor {
  readonly dtype: ElementType;
  readonly shape: readonly number[];
  readonly data: Uint8Array;
}

export function isElementType(name: string): name is ElementType {
  return Object.hasOwn(ELEMENT_BYTES, name);
}

/** Number of elements of a shape; undefined where it leaves the integers that a double holds exactly. */
export function countElements(shape: readonly number[]): number | undefined {
  let count = 1;
  for (const size of shape) {
    count *= size;
    if (!Number.isSafeInteger(count)) return undefined;
  }
  return count;
}

// Every platform with WebGPU is little-endian, but only a check makes that a promise.
const LITTLE_ENDIAN = new Uint8Array(Uint32Array.of(1).buffer)[0] === 1;

/** The bytes of a typed array as files hold them: a view where the platform is little-endian, a swapped copy elsewhere. */
export function toLittleEndian(values: ArrayBufferView & { readonly BYTES_PER_ELEMENT?: number }): Uint8Array {
  const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  const width = values.BYTES_PER_ELEMENT ?? 1;
  return LITTLE_ENDIAN || width === 1 ? bytes : swapBytes(bytes, width);
}

function swapBytes(bytes: Uint8Array, width: number): Uint8Array {
  const swapped = new Uint8Array(bytes.length);
  for (let i = 0; i < bytes.length; i++) swapped[i - (i % width) + (width - 1 - (i % width))] = bytes[i]!;
  return swapped;
}

/** A tensor of f32 values; shares their memory. */
export function storeFloat32(values: Float32Array, shape: readonly number[]): StoredTensor {
  return { dtype: "F32", shape, data: toLittleEndian(values) };
}

/** The values of a floating-point tensor as f32: F64 is rounded, F16 and BF16 are exact. Undefined for any other type. */
export function loadFloat32(tensor: StoredTensor): Float32Array<ArrayBuffer> | undefined {
  const { dtype, data } = tensor;
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const count = data.byteLength / ELEMENT_BYTES[dtype];
  const values = new Float32Array(count);
  switch (dtype) {
    case "F32":
      if (LITTLE_ENDIAN) new Uint8Array(values.buffer).set(data);
      else for (let i = 0; i < count; i++) values[i] = view.getFloat32(4 * i, true);
      return values;
    case "F64":
      for (let i = 0; i < count; i++) values[i] = view.getFloat64(8 * i, true);
      return values;
    case "BF16": {
      const bits = new Uint32Array(values.buffer);
      for (let i = 0; i < count; i++) bits[i] = view.getUint16(2 * i, true) << 16;
      return values;
    }
    case "F16":
      for (let i = 0; i < count; i++) values[i] = fromHalf(view.getUint16(2 * i, true));
      return values;
    default:
      return undefined;
  }
}

/** The value of an IEEE 754 binary16. */
function fromHalf(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return exponent === 0 ? sign * fraction * 2 ** -24 : sign * (1024 + fraction) * 2 ** (exponent - 25);
}
