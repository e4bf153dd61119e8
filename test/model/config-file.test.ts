// Configuration files: YAML and JSON to the same settings, every mistake with its line, and nothing of a file taken for more than text.
import { expect, test } from "vitest";
import { UserError } from "../../src/errors.ts";
import { parseConfigFile } from "../../src/model/config-file.ts";
import { FIELDS, resolveConfig } from "../../src/model/config.ts";

const parse = (text: string, name = "run.yaml") => parseConfigFile(new TextEncoder().encode(text), name);
async function refusal(promise: Promise<unknown>): Promise<UserError> {
  const error = await promise.then(() => undefined, (reason: unknown) => reason);
  if (!(error instanceof UserError)) throw new Error(`no UserError: ${String(error)}`);
  return error;
}
const told = ({ message, notes }: UserError): string => [message, ...notes].join("\n");

test("YAML, its dotted keys and JSON give the same settings", async () => {
  const nested = await parse("# mine\npreset: vit-tiny\nholdOut: [B1, B2]\nloss:\n  tau: 2e-1\n  kernel: radius # hard\naugment: { flip: false, scale: [1, 1.5] }\ndata:\n  pixelSizeUm: ~\n");
  const dotted = await parse("preset: vit-tiny\nholdOut:\n  - B1\n  - B2\nloss.tau: 0.2\nloss: {kernel: radius}\naugment.flip: no_such\naugment.scale: [1, 1.5]\ndata.pixelSizeUm: null\n".replace("no_such", "false"));
  const json = await parse(JSON.stringify({ preset: "vit-tiny", holdOut: ["B1", "B2"], loss: { tau: 0.2, kernel: "radius" }, augment: { flip: false, scale: [1, 1.5] }, data: { pixelSizeUm: null } }), "run.json");
  expect(Object.fromEntries(nested.settings)).toEqual({ preset: "vit-tiny", holdOut: ["B1", "B2"], "loss.tau": 0.2, "loss.kernel": "radius", "augment.flip": false, "augment.scale": [1, 1.5], "data.pixelSizeUm": null });
  for (const other of [dotted, json]) expect(Object.fromEntries(other.settings)).toEqual(Object.fromEntries(nested.settings));
  expect([nested.whereIs("loss.kernel"), dotted.whereIs("augment.flip"), nested.whereIs("steps")]).toEqual(["run.yaml:6", "run.yaml:7", undefined]);
});

test("a run's config.json is a configuration that gives the same run", async () => {
  const config = resolveConfig({ preset: "vit-tiny", "loss.tau": 0.3 });
  const { settings } = await parse(JSON.stringify(config, null, 2), "config.json");
  expect(settings.size).toBe(Object.keys(FIELDS).length);
  expect(resolveConfig(Object.fromEntries(settings))).toEqual(config);
});

test("nothing is given by an empty file, a comment, or a group with nothing below it", async () => {
  for (const text of ["", "# later\n", "loss:\n  # tau: 1\n", "{}"]) expect((await parse(text)).settings.size).toBe(0);
});

test("anchors stand for what they name; a bomb of them is refused", async () => {
  expect(Object.fromEntries((await parse("augment:\n  scale: &r [1, 2]\n  gain: *r\n")).settings)).toEqual({ "augment.scale": [1, 2], "augment.gain": [1, 2] });
  expect(told(await refusal(parse("loss: &a\n  tau: 1\n  more: *a\n")))).toBe("run.yaml:3: loss.more: the alias of a group, expected its settings written out");
  const bomb = ["a: &a [1,1,1,1,1,1,1,1,1]", ..."bcdefghij".split("").map((name, i) => `${name}: &${name} [${Array(9).fill(`*${"abcdefghij"[i]}`).join(",")}]`)].join("\n");
  expect(told(await refusal(parse(bomb)))).toMatch(/run\.yaml:\d+: .*alias/i);
});

test.each<[string, string, RegExp]>([
  ["run.yaml", "loss:\n  tau: 0.2\n kernel: radius\n", /^run\.yaml:[23]: /],
  ["run.yaml", "steps: 3\nloss: [1, 2\n", /^run\.yaml:[23]: /],
  ["run.yaml", "steps: 3\nseed: 1\nsteps: 4\n", /^run\.yaml:3: .*unique/],
  ["run.yaml", "loss.tau: 1\nloss:\n  tau: 2\n", /^run\.yaml:3: loss\.tau is given twice, first in line 1$/],
  ["run.yaml", "loss:\n  1: 2\n  ? [a]\n  : 3\n", /run\.yaml:2: loss: the key 1, expected a name/],
  ["run.yaml", "- steps\n", /^run\.yaml:1: a list, expected settings/],
  ["run.yaml", "steps: !!js/function 3\n", /^run\.yaml:1: .*tag/i],
  ["run.yaml", "steps: 3\n---\nsteps: 4\n", /^run\.yaml:\d: .*document/i],
  ["run.json", '{\n  "steps": 3,\n}', /^run\.json:3: .*expected JSON$/],
  ["run.json", "steps: 3", /^run\.json:1: .*expected JSON$/],
  ["run.json", '{"steps": 3,\n"steps": 4}', /^run\.json:2: .*unique/],
])("%s %j is refused with its line", async (name, text, message) => {
  const error = await refusal(parse(text, name));
  expect(told(error)).toMatch(message);
  expect(error.exitCode).toBe(78);
});

test("a file of another kind is a usage error; bytes that are no text are told", async () => {
  expect((await refusal(parse("steps: 3", "run.toml"))).exitCode).toBe(2);
  expect((await refusal(parseConfigFile(Uint8Array.of(0xff, 0xfe), "run.yaml"))).message).toBe("run.yaml: not UTF-8, expected a text; save it as UTF-8");
});

test("names that mean something to JavaScript are names, and unknown ones", async () => {
  const { settings, whereIs } = await parse("__proto__:\n  steps: 9\nconstructor: 1\n");
  expect([...settings.keys()]).toEqual(["__proto__.steps", "constructor"]);
  expect(() => resolveConfig(Object.fromEntries(settings), whereIs)).toThrow(/2 settings are wrong/);
});

test("mistakes of the file and of the command line are told at once, each where it stands", async () => {
  const { settings, whereIs } = await parse("loss:\n  taw: 0.2\n  sigmaMm: far\nsteps: 0\noptimizer: adamw\n");
  const error = await refusal((async () => resolveConfig({ ...Object.fromEntries(settings), "augment.blurShare": 2 }, whereIs))());
  expect(error.notes).toEqual([
    "run.yaml:2: loss.taw: there is no such setting; did you mean loss.tau?",
    'run.yaml:5: optimizer: "adamw", expected settings below it, such as optimizer.name',
    "run.yaml:4: steps: 0, expected a whole number from 1 to 1000000000",
    'run.yaml:3: loss.sigmaMm: "far", expected null or a number from 0.000001 to 10000',
    "augment.blurShare: 2, expected a number from 0 to 1",
  ]);
});
