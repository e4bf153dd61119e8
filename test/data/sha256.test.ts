// SHA-256 against the vectors of NIST (FIPS 180-4 examples, CAVP) and against Node's own for random lengths and splits.
import { createHash } from "node:crypto";
import { expect, test, vi } from "vitest";
import { createSha256, hashBytes, sha256 } from "../../src/data/sha256.ts";

const ascii = (text: string): Uint8Array => new TextEncoder().encode(text);

test.each([
  ["", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"],
  ["abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"],
  ["abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"],
  [
    "abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu",
    "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1",
  ],
])("vector %j", (text, hex) => {
  expect(sha256(ascii(text))).toBe(hex);
});

test("a million times the letter a, in parts of 997 bytes", () => {
  const hash = createSha256();
  const part = new Uint8Array(997).fill(0x61);
  for (let left = 1_000_000; left > 0; left -= part.length) hash.update(part.subarray(0, Math.min(left, part.length)));
  expect(hash.digest()).toBe("cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
});

test("every length from 0 to 300, at an odd offset, whole and split everywhere, as node:crypto", async () => {
  const pool = new Uint8Array(400).map((_, i) => (i * 131 + (i >> 3) * 17) & 255);
  for (let length = 0; length <= 300; length++) {
    const bytes = pool.subarray(7, 7 + length);
    const want = createHash("sha256").update(bytes).digest("hex");
    expect(sha256(bytes)).toBe(want);
    expect(await hashBytes(bytes)).toBe(want);
    const cut = (length * 37) % (length + 1);
    expect(createSha256().update(bytes.subarray(0, cut)).update(bytes.subarray(cut)).digest()).toBe(want);
  }
});

test("the platform's hash and ours agree, and ours stands in where there is none", async () => {
  const shared = new Uint8Array(new SharedArrayBuffer(100)).fill(5); // WebCrypto takes none of these
  expect(await hashBytes(shared)).toBe(sha256(new Uint8Array(100).fill(5)));
  vi.stubGlobal("crypto", undefined);
  try {
    expect(await hashBytes(ascii("abc"))).toBe("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  } finally {
    vi.unstubAllGlobals();
  }
});

test("a digest in the middle changes nothing of what follows", () => {
  const hash = createSha256().update(ascii("ab"));
  expect(hash.digest()).toBe(createHash("sha256").update("ab").digest("hex"));
  expect(hash.update(ascii("c")).digest()).toBe("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
});

test("the length in bits needs more than 32 bits after 512 MiB", () => {
  const part = new Uint8Array(1 << 20);
  const own = createSha256();
  const nodes = createHash("sha256");
  for (let i = 0; i < 513; i++) {
    own.update(part);
    nodes.update(part);
  }
  expect(own.digest()).toBe(nodes.digest("hex"));
}, 120_000);
