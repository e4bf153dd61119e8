// Explanations and verdicts as text that fits into 80 columns.
import type { ConstantFact, Explanation } from "./explain.ts";
import type { Verdict } from "./bench.ts";

/** `1.25 GFLOP`. */
function scale(value: number, unit: string): string {
  for (const [factor, prefix] of [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"]] as const) if (value >= factor) return `${(value / factor).toPrecision(3)} ${prefix}${unit}`;
  return `${Number(value.toPrecision(3))} ${unit}`;
}

/** Words in lines of at most `width`. */
function wrap(text: string, indent: string, width = 80): string[] {
  const lines: string[] = [];
  for (const word of text.split(/\s+/)) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + 1 + word.length <= width) lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(`${indent}${word}`);
  }
  return lines;
}

/** An explanation for a terminal; `file` is where the template can be edited, if anywhere. */
export function printExplanation(e: Explanation, file?: string): string {
  const { facts, output, limits } = e;
  const [gx, gy, gz] = e.grid;
  const invocations = facts.workgroup.reduce((product, extent) => product * extent, 1);
  const { arrays, values } = facts.registers;
  const each = (amount: number) => Number((amount / Math.max(1, output.elements)).toPrecision(3));
  const sizes = Object.entries(e.numbers).map(([name, value]) => `${name}=${value}`).join(" ");
  const line = (name: string, text: string) => wrap(text, "            ").map((part, i) => (i === 0 ? `  ${name.padEnd(10)}${part.trimStart()}` : part));
  const own = e.variants.find(({ variant }) => e.key.startsWith(`${e.key.split(".")[0]}.${variant} `));
  const names = Math.max(11, ...e.variants.map(({ variant }) => variant.length));
  return [
    e.key,
    ...wrap(e.doc, "  "),
    ...line("case", `${e.case}: ${sizes}`),
    ...(file === undefined ? [] : [`  file      ${file}`]),
    ...line("grid", `${gx} × ${gy} × ${gz} workgroups of ${facts.workgroup.filter((extent, i) => i === 0 || extent > 1).join(" × ")} invocations (${invocations} of ${limits.invocations})`),
    ...line("registers", `about ${arrays + values} words an invocation as named in the text: ${arrays} in private arrays, ${values} in variables and values`),
    ...line("shared", `${facts.shared} of ${limits.workgroupMemory} bytes a workgroup, ${facts.barriers === 0 ? "no barrier" : `${facts.barriers} ${facts.barriers === 1 ? "barrier" : "barriers"} in the text`}`),
    ...line("work", `${scale(e.flops, "FLOP")}, ${scale(e.bytes, "B")}; for an element of ${output.name} ${each(e.flops)} operations and ${each(e.bytes)} bytes`),
    ...line("intensity", `${Number(e.intensity.toPrecision(3))} operations a byte; the roofs of this device meet at ${Number(e.ridge.toPrecision(3))}`),
    ...line("bound", `${e.bound}: ${(1e3 * e.seconds).toPrecision(3)} ms at the measured roof, launch not counted`),
    ...(own?.constants ?? []).flatMap((constant) => line("constant", describeConstant(constant))),
    "",
    `${"variant".padEnd(names)} ${"workgroup".padEnd(9)} ${"shared".padStart(6)} ${"words".padStart(5)}  here`,
    ...e.variants.flatMap(({ variant, chosen, reason, facts: of }) => {
      const size = of ? of.workgroup.filter((extent, i) => i === 0 || extent > 1).join("×") : "";
      const words = of ? String(of.registers.arrays + of.registers.values) : "";
      const head = `${variant.padEnd(names)} ${size.padEnd(9)} ${(of ? String(of.shared) : "").padStart(6)} ${words.padStart(5)}  `;
      return wrap(reason ?? (chosen ? "runs, and is this device's own choice" : "runs"), " ".repeat(head.length)).map((part, i) => (i === 0 ? `${head}${part.trimStart()}` : part));
    }),
    "",
  ].join("\n");
}

function describeConstant({ name, value, worthTrying, by }: ConstantFact): string {
  const how = by === "tunable" ? `tunable: ${worthTrying.join(", ")}` : by === "template" ? "fixed in the template; other values where its const_asserts hold" : "follows from problem or device";
  return `${name} = ${value}  (${how})`;
}

/** A verdict for a terminal. */
export function printVerdict({ lint, checks, speed, took }: Verdict): string {
  const lines: string[] = lint.length > 0 ? lint.flatMap((mistake, i) => (i === 0 ? [`  lint    ${mistake}`] : [`          ${mistake}`])) : ["  lint    clean"];
  if (checks) {
    const { passed, failures, known, worst } = checks;
    lines.push(failures.length > 0 ? `  check   FAILED ${failures.length} of ${passed + failures.length}` : `  check   ${passed} passed of ${known} known, largest error ${worst.toPrecision(2)} of what is allowed`);
    for (const failure of failures) lines.push(`          ${failure}`);
  }
  if (speed) {
    const { ratio, low, high, milliseconds } = speed;
    const how = high < 1 ? "faster" : low > 1 ? "slower" : "no clear change";
    lines.push(`  speed   ${ratio.toFixed(3)} × the time at the start (95 %: ${low.toFixed(3)} – ${high.toFixed(3)}), ${how}`, `          ${milliseconds.toPrecision(3)} ms a run`);
  }
  lines.push(`  in ${(took / 1e3).toFixed(2)} s`);
  return `${lines.join("\n")}\n`;
}
