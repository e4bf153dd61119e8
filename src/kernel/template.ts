// Kernel templates: valid WGSL with `//#` directives, rendered to the text of one blueprint with line numbers kept.
import { wgsl } from "wgsl-preprocessor/wgsl-preprocessor.js";

/** Where a line of rendered WGSL comes from. */
export interface Origin {
  readonly file: string;
  readonly line: number;
}

export interface Rendered {
  readonly code: string;
  /** The template's place of a rendered line (1-based). */
  origin(line: number): Origin;
}

export interface RenderOptions {
  /** Name for diagnostics, e.g. `matmul.tiled`. */
  readonly name: string;
  readonly source: string;
  readonly libraries: Readonly<Record<string, string>>;
  readonly flags: ReadonlySet<string>;
  readonly declaredFlags: readonly string[];
  readonly constants: Readonly<Record<string, number>>;
  readonly dtype: "f32" | "f16";
}

/** An error in a template: names file and line. */
export class TemplateError extends Error {
  constructor(file: string, line: number, message: string) {
    super(`${file}.wgsl:${line}: ${message}`);
    this.name = "TemplateError";
  }
}

const CONSTANT = /^(\s*const\s+)(\w+)(\s*(?::\s*\w+\s*)?=\s*)([0-9.]+)([uifh]?)(\s*;.*)$/;
const ELEM = /^(\s*alias\s+Elem\s*=\s*)\w+(\s*;.*)$/;

/** Numeric constants of the `//#params` blocks and their values in the text. */
export function defaultsOf(source: string): ReadonlyMap<string, number> {
  const known = defaultsCache.get(source);
  if (known) return known;
  const defaults = new Map<string, number>();
  let inside = false;
  for (const line of source.split("\n")) {
    const directive = line.trim();
    if (directive === "//#params") inside = true;
    else if (directive === "//#end") inside = false;
    else if (inside) {
      const match = CONSTANT.exec(line);
      if (match) defaults.set(match[2] ?? "", Number(match[4]));
    }
  }
  defaultsCache.set(source, defaults);
  return defaults;
}
const defaultsCache = new Map<string, ReadonlyMap<string, number>>();

/** Libraries that a text asks for with `//#use a b`. */
export function usesOf(source: string): string[] {
  return [...source.matchAll(/^\s*\/\/#use\s+(.+)$/gm)].flatMap((match) => (match[1] ?? "").trim().split(/\s+/));
}

/** A template and the libraries it uses, each once, in the order of first use; missing ones are an error. */
function collect(options: RenderOptions): { name: string; source: string }[] {
  const parts = [{ name: options.name, source: options.source }];
  for (let i = 0; i < parts.length; i++) {
    const part = parts[i];
    if (!part) break;
    for (const use of usesOf(part.source)) {
      if (parts.some((other) => other.name === `lib/${use}`)) continue;
      const source = options.libraries[use];
      if (source === undefined) throw new TemplateError(part.name, 1, `//#use ${use}: no such library; list it in the kernel's libraries`);
      parts.push({ name: `lib/${use}`, source });
    }
  }
  return parts;
}

/** The WGSL of one blueprint. Lines that a flag removes become empty, so that every line keeps its number. */
export function render(options: RenderOptions): Rendered {
  const parts = collect(options).map(({ name, source }) => ({ name, lines: resolve(name, source, options) }));
  const unknown = Object.keys(options.constants).filter((name) => !defaultsOf(options.source).has(name));
  if (unknown.length) throw new TemplateError(options.name, 1, `the //#params block does not declare ${unknown.join(", ")}`);
  const lines: string[] = [];
  const origins: Origin[] = [];
  for (const part of parts)
    part.lines.forEach((line, index) => {
      lines.push(line);
      origins.push({ file: `${part.name}.wgsl`, line: index + 1 });
    });
  const enable = options.dtype === "f16" ? "enable f16; " : "";
  return {
    code: raiseEnables(enable + lines.join("\n") + "\n"),
    origin: (line) => origins[Math.min(Math.max(line, 1), origins.length) - 1] ?? { file: `${options.name}.wgsl`, line },
  };
}

/** The template as it stands, every region active, with its libraries: it must be valid WGSL too. */
export function renderWhole(options: Omit<RenderOptions, "flags" | "constants" | "dtype">): string {
  const parts = collect({ ...options, flags: new Set(), constants: {}, dtype: "f32" });
  return raiseEnables(parts.map(({ source }) => source).join("\n"));
}

const ENABLE = /^[ \t]*enable\s+([\w\s,]+);[ \t]*/gm;

/** WGSL wants what is enabled to stand before everything else, also what a library enables: it goes to the front of the first line. */
function raiseEnables(code: string): string {
  const names = new Set([...code.matchAll(ENABLE)].flatMap((match) => (match[1] ?? "").split(",").map((name) => name.trim())));
  return [...names].map((name) => `enable ${name}; `).join("") + code.replace(ENABLE, "");
}

function resolve(name: string, source: string, options: RenderOptions): string[] {
  const lines = source.replace(/\n$/, "").split("\n");
  const strings: string[] = [""];
  const values: boolean[] = [];
  const put = (text: string) => (strings[strings.length - 1] += text);
  const condition = (text: string, line: number) => {
    values.push(evaluate(name, line, text, options));
    strings.push("");
  };
  let inParams = false;
  let depth = 0;
  lines.forEach((line, index) => {
    const number = index + 1;
    const directive = /^\s*\/\/#(\w+)\s*(.*?)\s*$/.exec(line);
    if (!directive) {
      if (/#(if|elif|else|endif)\b/.test(line.replace(/\/\/#if\s+\S.*$/, "")))
        throw new TemplateError(name, number, "a directive must stand alone on its line, or as a trailing //#if");
      const trailing = /^(.*\S)\s*\/\/#if\s+(.+?)\s*$/.exec(line);
      const text = inParams ? setConstant(line, options) : line;
      if (trailing) {
        put("#if ");
        condition(trailing[2] ?? "", number);
        put(`${mark(number)}${trailing[1]}\n#endif\n`);
      } else put(`${mark(number)}${text}\n`);
      return;
    }
    const [, verb, rest = ""] = directive;
    switch (verb) {
      case "params":
        inParams = true;
        break;
      case "end":
        inParams = false;
        break;
      case "use":
        break;
      case "if":
      case "elif":
        depth += verb === "if" ? 1 : 0;
        put(`#${verb} `);
        condition(rest, number);
        break;
      case "else":
      case "endif":
        depth -= verb === "endif" ? 1 : 0;
        if (depth < 0) throw new TemplateError(name, number, "//#endif without //#if");
        put(`#${verb}\n`);
        break;
      default:
        throw new TemplateError(name, number, `unknown directive //#${verb}; there are params, end, use, if, elif, else, endif`);
    }
  });
  if (depth > 0) throw new TemplateError(name, lines.length, "//#if without //#endif");
  const kept = lines.map(() => "");
  for (const line of wgsl(strings, ...values).split("\n")) {
    const match = /^\s*\u0001(\d+)\u0001(.*)$/.exec(line);
    if (match) kept[Number(match[1]) - 1] = match[2] ?? "";
  }
  return kept;
}

// Survives the preprocessor, which knows only the symbols that begin with a hash.
function mark(line: number): string {
  return `\u0001${line}\u0001`;
}

function setConstant(line: string, options: RenderOptions): string {
  const elem = ELEM.exec(line);
  if (elem) return `${elem[1]}${options.dtype}${elem[2]}`;
  const match = CONSTANT.exec(line);
  const value = match && options.constants[match[2] ?? ""];
  if (!match || value === undefined) return line;
  const suffix = match[5] ?? "";
  const text = suffix === "f" && Number.isInteger(value) ? `${value}.0` : `${value}`;
  return `${match[1]}${match[2]}${match[3]}${text}${suffix}${match[6]}`;
}

/** `a`, `!a`, `a || b`, `a && !b`: flags joined by one kind of operator. */
function evaluate(name: string, line: number, text: string, options: RenderOptions): boolean {
  const any = text.includes("||");
  if (any && text.includes("&&")) throw new TemplateError(name, line, "a condition mixes || and &&; nest two //#if instead");
  const terms = text.split(any ? "||" : "&&").map((term) => {
    const match = /^\s*(!?)\s*(\w+)\s*$/.exec(term);
    const flag = match?.[2] ?? "";
    if (!match || !(options.declaredFlags.includes(flag) || flag === "f16"))
      throw new TemplateError(name, line, `condition ${JSON.stringify(text)} names no flag of the kernel; it has ${options.declaredFlags.join(", ") || "none"} and f16`);
    return (flag === "f16" ? options.dtype === "f16" : options.flags.has(flag)) !== (match[1] === "!");
  });
  return any ? terms.some(Boolean) : terms.every(Boolean);
}
