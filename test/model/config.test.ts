// The configuration: defaults, all mistakes at once, round trip through the nested form.
import { expect, test } from "vitest";
import { UserError } from "../../src/errors.ts";
import type { JsonObject } from "../../src/data/json.ts";
import { fillSettings, FIELDS, flattenSettings, parseSetting, resolveConfig } from "../../src/model/config.ts";
import { PRESETS } from "../../src/model/presets.ts";

const mistakes = (settings: Record<string, unknown>): UserError => {
  try {
    resolveConfig(settings);
  } catch (error) {
    return error as UserError;
  }
  throw new Error("accepted");
};

test("every default is within its own bounds, and the nested form gives the same settings", () => {
  const config = resolveConfig({});
  const flat = flattenSettings(JSON.parse(JSON.stringify(config)));
  expect(Object.keys(flat).sort()).toEqual(Object.keys(FIELDS).sort());
  expect(resolveConfig(flat)).toEqual(config);
});

test("the learning rate is the preset's own unless it is given", () => {
  for (const [preset, { learningRate }] of Object.entries(PRESETS)) expect(resolveConfig({ preset }).optimizer.learningRate).toBe(learningRate);
  expect(resolveConfig({ "optimizer.learningRate": 0.005 }).optimizer.learningRate).toBe(0.005);
});

test("presets have no learning rate for sgd and lars: one must be given", () => {
  for (const name of ["sgd", "lars"]) {
    expect(mistakes({ "optimizer.name": name })).toMatchObject({ exitCode: 78, message: expect.stringMatching(/^config: optimizer\.learningRate: null, expected a number with optimizer\.name=(sgd|lars)/) });
    expect(resolveConfig({ "optimizer.name": name, "optimizer.learningRate": 0.1 }).optimizer.learningRate).toBe(0.1);
  }
});

test("a run's configuration of before gets the defaults of what it does not have; one that cannot be resolved stays", () => {
  const now = JSON.parse(JSON.stringify(resolveConfig({}))) as JsonObject;
  const { memory: _, ema: __, spike: ___, validate: ____, ...before } = now;
  expect(fillSettings(before)).toEqual(now);
  expect(fillSettings({ preset: "no-such" })).toEqual({ preset: "no-such" });
});

test("names all mistakes at once, with what was expected", () => {
  const error = mistakes({ "loss.taw": 1, steps: -3, "augment.scale": [2, 1], preset: 7 });
  expect(error.exitCode).toBe(78);
  expect(error.message).toContain("4 settings");
  expect(error.notes.join("\n")).toMatch(/loss\.taw.*did you mean loss\.tau[\s\S]*preset: 7, expected a name[\s\S]*steps: -3, expected a whole number from 1[\s\S]*augment\.scale/);
});

test.each([
  [{ "data.patch": 48 }, /multiple of 32/],
  [{ "loss.kernel": "views" }, /batch\.views/],
  [{ "batch.groups": 1, "batch.groupSize": 1 }, /at least two/],
  [{ "loss.tau": Number.NaN }, /loss\.tau/],
  [{ "batch.micro": 12 }, /batch\.micro: 12, expected a divisor of the 64 patches/],
  [{ holdOut: "B1" }, /list of names/],
])("refuses %j", (settings, message) => {
  expect(mistakes(settings).message).toMatch(message);
});

test("an unknown preset is a usage error that lists what there is", () => {
  const error = mistakes({ preset: "tinny" });
  expect(error.exitCode).toBe(2);
  expect(error.notes).toEqual(["Did you mean tiny?"]);
});

test("settings on the command line are JSON where they parse, text otherwise", () => {
  expect(parseSetting("loss.tau=0.2")).toEqual(["loss.tau", 0.2]);
  expect(parseSetting("augment.scale=[1,1]")).toEqual(["augment.scale", [1, 1]]);
  expect(parseSetting("loss.kernel=radius")).toEqual(["loss.kernel", "radius"]);
  expect(() => parseSetting("loss.tau")).toThrow(/key=value/);
});
