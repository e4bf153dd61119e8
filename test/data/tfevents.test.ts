// Event files: checksums against published vectors, contents by a decoder of their own, and the cut when a run is continued.
import { expect, test } from "vitest";
import { crc32c, encodeEventsHeader, encodeScalars, findEventsEnd, maskedCrc32c } from "../../src/data/tfevents.ts";

const ascii = (text: string): Uint8Array => new TextEncoder().encode(text);

test.each([
  ["check value of the CRC catalogue", ascii("123456789"), 0xe3069283],
  ["RFC 3720 B.4: 32 bytes of zeros", new Uint8Array(32), 0x8a9136aa],
  ["RFC 3720 B.4: 32 bytes of ones", new Uint8Array(32).fill(255), 0x62a8ab43],
  ["RFC 3720 B.4: 32 incrementing bytes", Uint8Array.from({ length: 32 }, (_, i) => i), 0x46dd794e],
  ["RFC 3720 B.4: 32 decrementing bytes", Uint8Array.from({ length: 32 }, (_, i) => 31 - i), 0x113fdb5c],
  ["nothing", new Uint8Array(0), 0],
])("CRC-32C, %s", (_, bytes, want) => {
  expect(crc32c(bytes)).toBe(want);
  // The mask as TensorFlow's record format defines it, in integers without wrap-around.
  const rotated = (BigInt(want) >> 15n) | ((BigInt(want) << 17n) & 0xffffffffn);
  expect(BigInt(maskedCrc32c(bytes))).toBe((rotated + 0xa282ead8n) & 0xffffffffn);
});

type Fields = Map<number, (Uint8Array | bigint)[]>;

/** Any protocol buffer message, by wire type alone. */
function decodeMessage(bytes: Uint8Array): Fields {
  const fields: Fields = new Map();
  let at = 0;
  const varint = (): bigint => {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = bytes[at++];
      if (byte === undefined) throw new Error("varint runs past the end");
      value |= BigInt(byte & 127) << shift;
      if (byte < 128) return value;
    }
  };
  const take = (length: number): Uint8Array => {
    if (at + length > bytes.length) throw new Error("field runs past the end");
    at += length;
    return bytes.slice(at - length, at);
  };
  while (at < bytes.length) {
    const key = varint();
    const wire = Number(key & 7n);
    const value = wire === 0 ? varint() : take(wire === 1 ? 8 : wire === 5 ? 4 : wire === 2 ? Number(varint()) : Number.NaN);
    const number = Number(key >> 3n);
    fields.set(number, [...(fields.get(number) ?? []), value]);
  }
  return fields;
}

const bytesOf = (value: Uint8Array | bigint | undefined): Uint8Array => {
  if (!(value instanceof Uint8Array)) throw new Error("not bytes");
  return value;
};
const textOf = (value: Uint8Array | bigint | undefined): string => new TextDecoder().decode(bytesOf(value));

function decodeFile(file: Uint8Array): { wallTime: number; step: number; version?: string; scalars: [string, number][] }[] {
  const events = [];
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  for (let at = 0; at < file.length; ) {
    const length = Number(view.getBigUint64(at, true));
    expect(view.getUint32(at + 8, true)).toBe(maskedCrc32c(file.subarray(at, at + 8)));
    const data = file.slice(at + 12, at + 12 + length);
    expect(view.getUint32(at + 12 + length, true)).toBe(maskedCrc32c(data));
    at += 16 + length;
    const event = decodeMessage(data);
    const version = event.get(3)?.[0];
    const summary = event.get(5)?.[0];
    const values = summary === undefined ? [] : (decodeMessage(bytesOf(summary)).get(1) ?? []);
    events.push({
      wallTime: new DataView(bytesOf(event.get(1)?.[0]).buffer).getFloat64(0, true),
      step: Number(event.get(2)?.[0]),
      ...(version === undefined ? {} : { version: textOf(version) }),
      scalars: values.map((value): [string, number] => {
        const fields = decodeMessage(bytesOf(value));
        return [textOf(fields.get(1)?.[0]), new DataView(bytesOf(fields.get(2)?.[0]).buffer).getFloat32(0, true)];
      }),
    });
  }
  return events;
}

function join(...parts: Uint8Array[]): Uint8Array {
  return Uint8Array.from(parts.flatMap((part) => [...part]));
}

test("what is written is what TensorBoard's messages say", () => {
  const long = "a/very/long/tag".repeat(20);
  const file = join(
    encodeEventsHeader(1_700_000_000.25),
    encodeScalars(0, 1, new Map([["loss", 0.5]])),
    encodeScalars(300, 2.5, new Map([["loss", NaN], ["rate", -Infinity], [long, 3]])),
    encodeScalars(2 ** 40 + 5, 3, new Map()),
  );
  expect(decodeFile(file)).toEqual([
    { wallTime: 1_700_000_000.25, step: 0, version: "brain.Event:2", scalars: [] },
    { wallTime: 1, step: 0, scalars: [["loss", 0.5]] },
    { wallTime: 2.5, step: 300, scalars: [["loss", NaN], ["rate", -Infinity], [long, 3]] },
    { wallTime: 3, step: 2 ** 40 + 5, scalars: [] },
  ]);
});

test("the same input gives the same bytes", () => {
  const scalars = new Map([["loss", 0.1]]);
  expect(encodeScalars(3, 4, scalars)).toEqual(encodeScalars(3, 4, scalars));
});

test("a step that is no step is refused", () => {
  expect(() => encodeScalars(-1, 0, new Map())).toThrow(/step -1/);
  expect(() => encodeScalars(1.5, 0, new Map())).toThrow(/step 1.5/);
});

test("the cut keeps whole records up to the step, whatever follows", () => {
  const steps = [0, 1, 127, 128, 16_384];
  const parts = [encodeEventsHeader(0), ...steps.map((step) => encodeScalars(step, step, new Map([["loss", step]])))];
  const file = join(...parts);
  const endOf = (count: number): number => join(...parts.slice(0, count)).length;
  expect(findEventsEnd(file, 16_384)).toBe(file.length);
  expect(findEventsEnd(file, 16_383)).toBe(endOf(5));
  expect(findEventsEnd(file, 127)).toBe(endOf(4));
  expect(findEventsEnd(file, 0)).toBe(endOf(2));
  const ends = parts.map((_, i) => endOf(i));
  for (let length = 0; length < file.length; length++) {
    const want = Math.max(...ends.filter((end) => end <= length));
    expect(findEventsEnd(file.subarray(0, length), 1e9), `cut at ${length}`).toBe(want);
  }
  for (let at = 0; at < file.length; at++) {
    const damaged = file.slice();
    damaged[at]! ^= 1 << (at % 8);
    expect(findEventsEnd(damaged, 1e9), `damage at ${at}`).toBe(Math.max(...ends.filter((end) => end <= at)));
  }
});
