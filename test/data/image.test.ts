// PNG and JPEG: every valid form decodes to the right pixels, everything damaged is a UserError that names the file.
import { zlibSync } from "fflate";
import { decode as decodeWithFastPng, encode as encodeWithFastPng } from "fast-png";
import jpeg from "jpeg-js";
import { describe, expect, test } from "vitest";
import { decodeImage, inspectImage } from "../../src/data/decode.ts";
import { intensityTable, toGrey, type Image } from "../../src/data/image.ts";
import { encodePng, makeChunk } from "../../src/data/png.ts";
import { UserError } from "../../src/errors.ts";
import { keyOfSeed, randomStream, type RandomStream } from "../../src/kernel/rng.ts";

function makeImage(width: number, height: number, channels: 1 | 3, stream: RandomStream, noise = 40): Image {
  const data = new Uint8Array(width * height * channels);
  for (let i = 0; i < data.length; i++) data[i] = 100 + 60 * Math.sin(i / (5 * channels)) + noise * (stream.uniform() - 0.5);
  return { width, height, channels, data };
}

const SIGNATURE = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];

/** A PNG from raw, unfiltered rows: the forms that no encoder at hand writes. */
function makePng(header: { width: number; height: number; depth: number; colour: number; interlace?: number }, rows: Uint8Array, extra: Uint8Array[] = [], parts = 1): Uint8Array {
  const ihdr = new Uint8Array(13);
  new DataView(ihdr.buffer).setUint32(0, header.width);
  new DataView(ihdr.buffer).setUint32(4, header.height);
  ihdr.set([header.depth, header.colour, 0, 0, header.interlace ?? 0], 8);
  const body = zlibSync(rows);
  const step = Math.ceil(body.length / parts);
  const idat = Array.from({ length: parts }, (_, i) => makeChunk("IDAT", body.subarray(i * step, (i + 1) * step)));
  return Uint8Array.of(...SIGNATURE, ...[makeChunk("IHDR", ihdr), ...extra, ...idat, makeChunk("IEND", new Uint8Array(0))].flatMap((chunk) => [...chunk]));
}

/** Packs samples of any depth into rows with filter byte 0. */
function packRows(samples: readonly (readonly number[])[], depth: number): Uint8Array {
  return Uint8Array.from(
    samples.flatMap((row) => {
      const bits = row.map((value) => value.toString(2).padStart(depth, "0")).join("");
      const bytes = bits.match(/.{1,8}/g) ?? [];
      return [0, ...bytes.map((byte) => Number.parseInt(byte.padEnd(8, "0"), 2))];
    }),
  );
}

function catchError(run: () => unknown): unknown {
  try {
    run();
  } catch (error) {
    return error;
  }
  return undefined;
}

function expectRefused(bytes: Uint8Array, pattern: RegExp): void {
  for (const read of [decodeImage, inspectImage]) {
    const error = catchError(() => read(bytes, "scan/a.png"));
    expect(error).toBeInstanceOf(UserError);
    expect((error as UserError).exitCode).toBe(65);
    expect((error as UserError).message).toMatch(/^scan\/a\.png: /);
    expect((error as UserError).message).toMatch(pattern);
  }
}

describe("PNG", () => {
  const stream = randomStream(keyOfSeed(1), [0, 0, 0]);

  test.each([[1, 1, 1], [1, 1, 3], [37, 5, 1], [64, 33, 3], [3, 200, 3]] as const)("%i × %i × %i survives a round trip, and fast-png reads it alike", (width, height, channels) => {
    const image = makeImage(width, height, channels, stream);
    const bytes = encodePng(image);
    expect(decodeImage(bytes, "x")).toEqual(image);
    expect(inspectImage(bytes, "x")).toEqual({ format: "png", width, height, channels });
    expect([...decodeWithFastPng(bytes, { checkCrc: true }).data]).toEqual([...image.data]);
    expect(encodePng(image)).toEqual(bytes);
  });

  test("all row filters are undone: fast-png's own encoding reads alike", () => {
    const image = makeImage(50, 40, 3, stream);
    expect(decodeImage(encodeWithFastPng({ ...image, depth: 8 }), "x")).toEqual(image);
    // Each filter by hand over the same pixels, as the specification defines them.
    const { width, height, data } = image;
    for (let kind = 0; kind <= 4; kind++) {
      const length = width * 3;
      const rows = new Uint8Array(height * (length + 1));
      for (let y = 0; y < height; y++) {
        rows[y * (length + 1)] = kind;
        for (let i = 0; i < length; i++) {
          const a = i >= 3 ? data[y * length + i - 3]! : 0;
          const b = y > 0 ? data[(y - 1) * length + i]! : 0;
          const c = i >= 3 && y > 0 ? data[(y - 1) * length + i - 3]! : 0;
          const p = a + b - c;
          const nearest = [a, b, c].reduce((best, value) => (Math.abs(p - value) < Math.abs(p - best) ? value : best));
          const guess = [0, a, b, Math.floor((a + b) / 2), nearest][kind]!;
          rows[y * (length + 1) + 1 + i] = data[y * length + i]! - guess;
        }
      }
      expect(decodeImage(makePng({ width, height, depth: 8, colour: 2 }, rows, [], 5), "x")).toEqual(image);
    }
  });

  test.each([1, 2, 4, 8, 16])("grey of %i bits is scaled to 0…255", (depth) => {
    const top = 2 ** depth - 1;
    const samples = Array.from({ length: 5 }, () => Array.from({ length: 11 }, () => stream.below(top + 1)));
    const image = decodeImage(makePng({ width: 11, height: 5, depth, colour: 0 }, packRows(samples, depth)), "x");
    expect(image.channels).toBe(1);
    expect([...image.data]).toEqual(samples.flat().map((value) => Math.round((value * 255) / top)));
  });

  test("RGB of 16 bits", () => {
    const samples = Array.from({ length: 3 }, () => Array.from({ length: 12 }, () => stream.below(65536)));
    const image = decodeImage(makePng({ width: 4, height: 3, depth: 16, colour: 2 }, packRows(samples, 16)), "x");
    expect([...image.data]).toEqual(samples.flat().map((value) => Math.round(value / 257)));
  });

  test.each([1, 2, 4, 8])("palette of %i bits, with and without transparency over white", (depth) => {
    const entries = 2 ** depth;
    const palette = Uint8Array.from({ length: entries * 3 }, () => stream.below(256));
    const samples = Array.from({ length: 4 }, () => Array.from({ length: 9 }, () => stream.below(entries)));
    const plain = decodeImage(makePng({ width: 9, height: 4, depth, colour: 3 }, packRows(samples, depth), [makeChunk("PLTE", palette)]), "x");
    expect([...plain.data]).toEqual(samples.flat().flatMap((k) => [...palette.subarray(3 * k, 3 * k + 3)]));
    const seen = decodeImage(makePng({ width: 9, height: 4, depth, colour: 3 }, packRows(samples, depth), [makeChunk("PLTE", palette), makeChunk("tRNS", Uint8Array.of(0))]), "x");
    expect([...seen.data]).toEqual(samples.flat().flatMap((k) => (k === 0 ? [255, 255, 255] : [...palette.subarray(3 * k, 3 * k + 3)])));
  });

  test("alpha is laid over white", () => {
    const grey = decodeImage(makePng({ width: 3, height: 1, depth: 8, colour: 4 }, Uint8Array.of(0, 0, 255, 0, 0, 100, 51)), "x");
    expect(grey).toEqual({ width: 3, height: 1, channels: 1, data: Uint8Array.of(0, 255, 224) });
    const colour = decodeImage(makePng({ width: 1, height: 1, depth: 8, colour: 6 }, Uint8Array.of(0, 10, 20, 30, 128)), "x");
    expect([...colour.data]).toEqual([10, 20, 30].map((v) => Math.round(255 + ((v - 255) * 128) / 255)));
    const key = decodeImage(makePng({ width: 2, height: 1, depth: 8, colour: 0 }, Uint8Array.of(0, 7, 8), [makeChunk("tRNS", Uint8Array.of(0, 7))]), "x");
    expect([...key.data]).toEqual([255, 8]);
  });

  test.each([[1, 1], [2, 3], [5, 4], [8, 8], [9, 17]])("Adam7 interlacing of %i × %i", (width, height) => {
    const image = makeImage(width, height, 1, stream);
    const passes = [[0, 0, 8, 8], [4, 0, 8, 8], [0, 4, 4, 8], [2, 0, 4, 4], [0, 2, 2, 4], [1, 0, 2, 2], [0, 1, 1, 2]] as const;
    const rows: number[] = [];
    for (const [x0, y0, dx, dy] of passes) {
      for (let y = y0; y < height; y += dy) {
        const row: number[] = [];
        for (let x = x0; x < width; x += dx) row.push(image.data[y * width + x]!);
        if (row.length > 0) rows.push(0, ...row);
      }
    }
    expect(decodeImage(makePng({ width, height, depth: 8, colour: 0, interlace: 1 }, Uint8Array.from(rows)), "x")).toEqual(image);
  });

  const good = encodePng(makeImage(30, 20, 3, stream));

  test("cut anywhere, it is refused", () => {
    for (let length = 0; length < good.length; length += 1) {
      if (length >= 8) expectRefused(good.subarray(0, length), /truncated|damaged/);
      else expectRefused(good.subarray(0, length), /empty|unknown format/);
    }
  });

  test("a flipped bit anywhere behind the signature is found", () => {
    for (let i = 0; i < 400; i++) {
      const bad = good.slice();
      bad[8 + stream.below(good.length - 8)]! ^= 1 << stream.below(8);
      expectRefused(bad, /PNG/);
    }
  });

  test("no image data; too little; too much; wrong inner checksum", () => {
    const header = { width: 4, height: 4, depth: 8, colour: 0 };
    const withoutData = Uint8Array.of(...good.subarray(0, 33), ...makeChunk("IEND", new Uint8Array(0)));
    expectRefused(withoutData, /no image data/);
    for (const rows of [19, 21]) {
      const error = catchError(() => decodeImage(makePng(header, new Uint8Array(rows)), "a"));
      expect((error as UserError).message).toMatch(/expected 20|more image data/);
    }
    const body = zlibSync(new Uint8Array(20));
    body[body.length - 1]! ^= 1;
    const wrongSum = Uint8Array.of(...makePng(header, new Uint8Array(20)).subarray(0, 33), ...makeChunk("IDAT", body), ...makeChunk("IEND", new Uint8Array(0)));
    expect((catchError(() => decodeImage(wrongSum, "a")) as UserError).message).toMatch(/checksum of the image data/);
    const filter = catchError(() => decodeImage(makePng(header, new Uint8Array(20).fill(9)), "a"));
    expect((filter as UserError).message).toMatch(/row filter 9/);
  });

  test("hostile sizes are refused before memory is taken", () => {
    expectRefused(makePng({ width: 2 ** 31 - 1, height: 2 ** 31 - 1, depth: 16, colour: 6 }, new Uint8Array(10)), /at most/);
    expectRefused(makePng({ width: 16000, height: 16000, depth: 8, colour: 2 }, new Uint8Array(10)), /cannot hold/);
    expectRefused(makePng({ width: 0, height: 5, depth: 8, colour: 2 }, new Uint8Array(10)), /at least 1/);
    expect((catchError(() => decodeImage(good, "a", 599)) as UserError).message).toMatch(/30 × 20 pixels, expected at most 599/);
    // A compressed stream that expands to far more than the header promises stops early.
    expect((catchError(() => decodeImage(makePng({ width: 4, height: 4, depth: 8, colour: 0 }, new Uint8Array(50_000_000)), "a")) as UserError).message).toMatch(/more image data/);
  });

  test("what the specification does not know is refused", () => {
    expectRefused(makePng({ width: 4, height: 4, depth: 3, colour: 0 }, new Uint8Array(20)), /colour type 0 with 3 bits/);
    expectRefused(makePng({ width: 4, height: 4, depth: 8, colour: 5 }, new Uint8Array(20)), /colour type 5/);
    expectRefused(makePng({ width: 4, height: 4, depth: 8, colour: 3 }, new Uint8Array(20)), /no palette/);
    expectRefused(makePng({ width: 4, height: 4, depth: 8, colour: 0, interlace: 2 }, new Uint8Array(20)), /interlace 2/);
    expectRefused(makePng({ width: 4, height: 4, depth: 8, colour: 0 }, new Uint8Array(20), [makeChunk("WHAT", new Uint8Array(1))]), /unknown critical chunk WHAT/);
    const entry = catchError(() => decodeImage(makePng({ width: 1, height: 1, depth: 8, colour: 3 }, Uint8Array.of(0, 2), [makeChunk("PLTE", new Uint8Array(6))]), "a"));
    expect((entry as UserError).message).toMatch(/palette entry 2 of 2/);
  });
});

describe("JPEG", () => {
  const stream = randomStream(keyOfSeed(2), [0, 0, 0]);
  const image = makeImage(45, 31, 3, stream, 0);
  const rgba = new Uint8Array(45 * 31 * 4).fill(255);
  for (let i = 0; i < 45 * 31; i++) rgba.set(image.data.subarray(3 * i, 3 * i + 3), 4 * i);
  const good = new Uint8Array(jpeg.encode({ width: 45, height: 31, data: rgba }, 100).data);

  test("decodes to nearly the same pixels", () => {
    const decoded = decodeImage(good, "a.jpg");
    expect([decoded.width, decoded.height, decoded.channels]).toEqual([45, 31, 3]);
    const error = decoded.data.reduce((sum, value, i) => sum + (value - image.data[i]!) ** 2, 0) / decoded.data.length;
    // Quality 100 quantises by 1: each of the 3 × 64 coefficients errs by at most half a unit, rounding of colours by about one.
    expect(Math.sqrt(error)).toBeLessThan(3);
  });

  test("cut anywhere, it is refused, also with an end mark put behind the cut", () => {
    for (let length = 0; length < good.length; length += 1) {
      expectRefused(good.subarray(0, length), /truncated|damaged|empty|unknown format/);
      if (length < 3 || length > good.length - 12) continue;
      const ended = Uint8Array.of(...good.subarray(0, length), 0xff, 0xd9);
      const error = catchError(() => decodeImage(ended, "a.jpg"));
      expect(error, `cut at ${length}`).toBeInstanceOf(UserError);
    }
  });

  test("hostile sizes and forms that would be guessed at are refused", () => {
    const frame = good.findIndex((value, i) => value === 0xff && good[i + 1] === 0xc0);
    const change = (offset: number, ...values: number[]): Uint8Array => {
      const bad = good.slice();
      bad.set(values, frame + offset);
      return bad;
    };
    expectRefused(change(5, 0xff, 0xff, 0xff, 0xff), /at most/);
    expectRefused(change(5, 0x3f, 0xff, 0x3f, 0xff), /cannot hold/);
    expectRefused(change(5, 0, 0), /at least 1/);
    expectRefused(change(4, 12), /12 bits a channel/);
    expectRefused(change(1, 0xc9), /arithmetic/);
    expectRefused(change(11, 0x55), /sampling factor/);
  });
});

describe("JPEG forms that no encoder at hand writes", () => {
  const segment = (marker: number, ...body: number[]): number[] => [0xff, marker, (body.length + 2) >> 8, (body.length + 2) & 255, ...body];
  // One Huffman code of one bit in each table: DC difference 0, and end of block. A block of even grey is the two bits 00.
  const tables = [...segment(0xdb, 0, ...new Array<number>(64).fill(1)), ...segment(0xc4, 0x00, 1, ...new Array<number>(15).fill(0), 0), ...segment(0xc4, 0x10, 1, ...new Array<number>(15).fill(0), 0)];
  const frame = (marker: number): number[] => segment(marker, 8, 0, 8, 0, 24, 1, 1, 0x11, 0);
  const scan = (first: number, last: number, bits: number, ...data: number[]): number[] => [...segment(0xda, 1, 1, 0, first, last, bits), ...data];
  const wrap = (...parts: number[][]): Uint8Array => Uint8Array.from([0xff, 0xd8, ...parts.flat(), 0xff, 0xd9]);
  const even = { width: 24, height: 8, channels: 1, data: new Uint8Array(192).fill(128) };

  test("grey, with a restart interval that does not divide the blocks", () => {
    const restart = segment(0xdd, 0, 2);
    expect(decodeImage(wrap(tables, frame(0xc0), restart, scan(0, 63, 0, 0x0f, 0xff, 0xd0, 0x3f)), "x")).toEqual(even);
    expect(catchError(() => decodeImage(wrap(tables, frame(0xc0), restart, scan(0, 63, 0, 0x0f)), "x"))).toBeInstanceOf(UserError);
    expect(catchError(() => decodeImage(wrap(tables, frame(0xc0), scan(0, 63, 0)), "x"))).toBeInstanceOf(UserError);
  });

  test("progressive, and refused when a scan is missing", () => {
    const dc = scan(0, 0, 0, 0x1f);
    const ac = scan(1, 63, 0, 0x1f);
    expect(decodeImage(wrap(tables, frame(0xc2), dc, ac), "x")).toEqual(even);
    expectRefused(wrap(tables, frame(0xc2), dc), /scans are missing/);
    expectRefused(wrap(tables, frame(0xc2)), /scans are missing/);
    expectRefused(wrap(tables, frame(0xc0), frame(0xc0), scan(0, 63, 0, 0x03)), /more than one frame/);
    expectRefused(wrap(tables, scan(0, 63, 0, 0x03)), /scan before the frame/);
  });
});

test("damaged bytes never give anything but an image or a UserError", () => {
  const stream = randomStream(keyOfSeed(3), [0, 0, 0]);
  const source = makeImage(24, 24, 3, stream);
  const rgba = new Uint8Array(24 * 24 * 4).fill(255);
  const seeds = [encodePng(source), new Uint8Array(jpeg.encode({ width: 24, height: 24, data: rgba }, 60).data), makePng({ width: 9, height: 9, depth: 8, colour: 0, interlace: 1 }, new Uint8Array(110))];
  let refused = 0;
  for (let round = 0; round < 3000; round++) {
    const bytes = seeds[round % seeds.length]!.slice();
    for (let k = 0; k <= stream.below(4); k++) bytes[stream.below(bytes.length)] = [0, 255, stream.below(256)][stream.below(3)]!;
    const error = catchError(() => {
      const image = decodeImage(bytes, "f");
      expect(image.data.length).toBe(image.width * image.height * image.channels);
    });
    if (error === undefined) continue;
    expect(error).toBeInstanceOf(UserError);
    refused += 1;
  }
  expect(refused).toBeGreaterThan(1500);
});

test("other formats are named", () => {
  expectRefused(new TextEncoder().encode("II*\0………"), /TIFF/);
  expectRefused(new TextEncoder().encode("hello"), /unknown format/);
});

test("grey by Rec. 601, white and black exact; both intensity scales run from 0 to 1", () => {
  const grey = toGrey({ width: 5, height: 1, channels: 3, data: Uint8Array.of(255, 255, 255, 0, 0, 0, 255, 0, 0, 0, 255, 0, 0, 0, 255) });
  expect([...grey]).toEqual([255, 0, 76, 150, 29]);
  const [linear, density] = [intensityTable("grey"), intensityTable("density")];
  expect([linear[0], linear[255], density[0], density[255]]).toEqual([0, 1, 1, 0]);
  expect(density.every((value, i) => i === 0 || value < density[i - 1]!)).toBe(true);
});
