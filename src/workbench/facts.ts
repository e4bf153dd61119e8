// What a rendered template says of itself: workgroup, workgroup memory, barriers, and an estimate of the registers it asks for.

export interface Facts {
  readonly workgroup: readonly [number, number, number];
  /** Bytes of `var<workgroup>`. */
  readonly shared: number;
  /** Statements that are workgroup barriers. */
  readonly barriers: number;
  /**
   * 32-bit words that an invocation names: private arrays, and all other variables and values, of `main` and of the deepest chain of calls.
   * A compiler keeps fewer at a time where their lives do not overlap, and more for what it unrolls.
   */
  readonly registers: { readonly arrays: number; readonly values: number };
}

interface Fn {
  readonly result: string;
  readonly body: string;
}

/** Types and constants of one module. */
interface Scope {
  readonly constants: ReadonlyMap<string, string>;
  readonly aliases: ReadonlyMap<string, string>;
  readonly structs: ReadonlyMap<string, readonly string[]>;
  /** Element types of arrays at module scope. */
  readonly arrays: ReadonlyMap<string, string>;
  readonly functions: ReadonlyMap<string, Fn>;
}

/** Reads the facts from WGSL as it is given to the compiler. */
export function readFacts(rendered: string): Facts {
  const code = rendered.replace(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, "");
  const scope = readScope(code);
  const size = /@workgroup_size\(([^)]*)\)/.exec(code)?.[1] ?? "1";
  const extents = splitTop(size).map((text) => evaluate(text, scope));
  const shared = [...code.matchAll(/var<workgroup>\s+\w+\s*:\s*([^;]+);/g)].reduce((sum, match) => sum + (layoutOf(match[1] ?? "", scope)?.size ?? 0), 0);
  const barriers = [...code.matchAll(/\b(?:workgroupBarrier|workgroupUniformLoad)\s*\(/g)].length;
  return { workgroup: [extents[0] ?? 1, extents[1] ?? 1, extents[2] ?? 1], shared, barriers, registers: registersOf("main", scope, new Set()) };
}

function readScope(code: string): Scope {
  const all = (pattern: RegExp) => [...code.matchAll(pattern)];
  const functions = new Map<string, Fn>();
  for (const match of all(/\bfn\s+(\w+)\s*\(/g)) {
    const end = closing(code, match.index + match[0].length - 1);
    const open = code.indexOf("{", end);
    const result = /->\s*(?:@\S+\s+)*([\w<>, ]+)/.exec(code.slice(end, open))?.[1] ?? "";
    functions.set(match[1] ?? "", { result: result.trim(), body: code.slice(open + 1, closing(code, open)) });
  }
  return {
    constants: new Map(all(/\bconst\s+(\w+)\s*(?::\s*\w+\s*)?=\s*([^;]+);/g).map((match) => [match[1] ?? "", match[2] ?? ""])),
    aliases: new Map(all(/\balias\s+(\w+)\s*=\s*([^;]+);/g).map((match) => [match[1] ?? "", (match[2] ?? "").trim()])),
    structs: new Map(all(/\bstruct\s+(\w+)\s*\{([^}]*)\}/g).map((match) => [match[1] ?? "", splitTop(match[2] ?? "").map((member) => (member.split(":")[1] ?? "").trim()).filter(Boolean)])),
    arrays: new Map(all(/\bvar<[^>]*>\s*(\w+)\s*:\s*array<(.+)>\s*;/g).map((match) => [match[1] ?? "", splitTop(match[2] ?? "")[0] ?? ""])),
    functions,
  };
}

/** Words declared by a function, and by the callee that declares most. */
function registersOf(name: string, scope: Scope, above: ReadonlySet<string>): Facts["registers"] {
  const fn = scope.functions.get(name);
  if (!fn || above.has(name)) return { arrays: 0, values: 0 };
  let [arrays, values] = [0, 0];
  const locals = new Map<string, string>();
  for (const match of fn.body.matchAll(/\b(var|let)\s+(\w+)\s*(?::\s*([^=;]+?))?\s*(?:=\s*([^;]+))?;/g)) {
    const [, , local = "", declared, initial = ""] = match;
    const type = declared?.trim() ?? typeOf(initial.trim(), scope, locals);
    locals.set(local, type);
    const words = Math.max(1, Math.ceil((layoutOf(type, scope)?.size ?? 4) / 4));
    if (resolve(type, scope).startsWith("array<")) arrays += words;
    else values += words;
  }
  const called = [...scope.functions.keys()].filter((other) => other !== name && new RegExp(`\\b${other}\\s*\\(`).test(fn.body));
  const deepest = called.map((other) => registersOf(other, scope, new Set([...above, name]))).reduce((most, one) => (one.arrays + one.values > most.arrays + most.values ? one : most), { arrays: 0, values: 0 });
  return { arrays: arrays + deepest.arrays, values: values + deepest.values };
}

/** The type of an initial value, as far as its beginning tells; "f32" where it does not, which is one word. */
function typeOf(text: string, scope: Scope, locals: ReadonlyMap<string, string>): string {
  const head = /^(array<.*?>|\w+(?:<[^<>()]*>)?)\s*([([.])?/.exec(text);
  if (!head) return "f32";
  const [, name = "", next] = head;
  const own = locals.get(name);
  if (next === "(") {
    const end = closing(text, head[0].length - 1);
    // `vec4f(x).y` is one word; what is computed on with operators keeps its type.
    if (/^\s*\.\w\b/.test(text.slice(end + 1))) return "f32";
    return layoutOf(name, scope) ? name : (scope.functions.get(name)?.result ?? (/^(?:max|min|abs|clamp|fma|select|exp|mix)$/.test(name) ? typeOf(text.slice(head[0].length), scope, locals) : "f32"));
  }
  if (next === "[") return scope.arrays.get(name) ?? (own ? elementOf(resolve(own, scope)) : "f32");
  if (next === ".") return "f32";
  return own ?? "f32";
}

function elementOf(type: string): string {
  const inner = /^array<(.+)>$/.exec(type)?.[1];
  if (inner !== undefined) return splitTop(inner)[0] ?? "f32";
  const matrix = /^mat\dx(\d)([fh])$/.exec(type);
  return matrix ? `vec${matrix[1]}${matrix[2]}` : "f32";
}

function resolve(type: string, scope: Scope): string {
  let at = type.trim();
  for (let i = 0; i < 8; i++) at = scope.aliases.get(at) ?? at;
  return at;
}

const SCALARS: Readonly<Record<string, number>> = { f32: 4, i32: 4, u32: 4, bool: 4, f16: 2 };
const SHORTHANDS: Readonly<Record<string, string>> = { f: "f32", h: "f16", i: "i32", u: "u32" };

/** Size and alignment in bytes by the rules of WGSL (section "Alignment and Size"); undefined for what is no type. */
function layoutOf(text: string, scope: Scope): { size: number; align: number } | undefined {
  const type = resolve(text, scope);
  const scalar = SCALARS[type];
  if (scalar !== undefined) return { size: scalar, align: scalar };
  const atomic = /^atomic<(\w+)>$/.exec(type);
  if (atomic) return layoutOf(atomic[1] ?? "", scope);
  const vector = /^vec([234])(?:([fhiu])|<(.+)>)$/.exec(type);
  if (vector) {
    const element = layoutOf(SHORTHANDS[vector[2] ?? ""] ?? vector[3] ?? "", scope);
    const width = Number(vector[1]);
    return element && { size: width * element.size, align: (width === 3 ? 4 : width) * element.size };
  }
  const matrix = /^mat([234])x([234])(?:([fh])|<(.+)>)$/.exec(type);
  if (matrix) {
    const column = layoutOf(`vec${matrix[2]}<${SHORTHANDS[matrix[3] ?? ""] ?? matrix[4] ?? ""}>`, scope);
    return column && { size: Number(matrix[1]) * roundUp(column.size, column.align), align: column.align };
  }
  const array = /^array<(.+)>$/.exec(type);
  if (array) {
    const [of = "", count] = splitTop(array[1] ?? "");
    const element = layoutOf(of, scope);
    return element && { size: roundUp(element.size, element.align) * (count === undefined ? 0 : evaluate(count, scope)), align: element.align };
  }
  const members = scope.structs.get(type)?.map((member) => layoutOf(member, scope));
  if (!members) return undefined;
  let [size, align] = [0, 1];
  for (const member of members) {
    if (!member) return undefined;
    size = roundUp(size, member.align) + member.size;
    align = Math.max(align, member.align);
  }
  return { size: roundUp(size, align), align };
}

function roundUp(value: number, step: number): number {
  return Math.ceil(value / step) * step;
}

/** A whole-number expression of constants: + − * / %, brackets, min and max. NaN for anything else. */
function evaluate(text: string, scope: Scope, depth = 0): number {
  const tokens = text.match(/\d+|\w+|[-+*/%(),]/g) ?? [];
  let at = 0;
  const primary = (): number => {
    const token = tokens[at++];
    if (token === "(") {
      const value = sum();
      at++;
      return value;
    }
    if (token === "-") return -primary();
    if (token === undefined) return NaN;
    if (tokens[at] === "(") {
      at++;
      const given = [sum()];
      while (tokens[at] === ",") {
        at++;
        given.push(sum());
      }
      at++;
      return token === "min" ? Math.min(...given) : token === "max" ? Math.max(...given) : /^[ui]32$/.test(token) ? given[0]! : NaN;
    }
    if (/^\d/.test(token)) {
      if (/^[uif]$/.test(tokens[at] ?? "")) at++;
      return Number.parseInt(token, 10);
    }
    const constant = scope.constants.get(token);
    return constant === undefined || depth > 8 ? NaN : evaluate(constant, scope, depth + 1);
  };
  const product = (): number => {
    let value = primary();
    while (tokens[at] === "*" || tokens[at] === "/" || tokens[at] === "%") {
      const operator = tokens[at++];
      const other = primary();
      value = operator === "*" ? value * other : operator === "/" ? Math.trunc(value / other) : value % other;
    }
    return value;
  };
  const sum = (): number => {
    let value = product();
    while (tokens[at] === "+" || tokens[at] === "-") value = tokens[at++] === "+" ? value + product() : value - product();
    return value;
  };
  return sum();
}

/** Parts between commas outside of brackets. */
function splitTop(text: string): string[] {
  const parts = [""];
  let depth = 0;
  for (const letter of text) {
    if ("(<[".includes(letter)) depth++;
    if (")>]".includes(letter)) depth--;
    if (letter === "," && depth === 0) parts.push("");
    else parts[parts.length - 1] += letter;
  }
  return parts.map((part) => part.trim()).filter((part) => part !== "");
}

/** Where the bracket at `open` closes. */
function closing(text: string, open: number): number {
  const [from, to] = text[open] === "{" ? ["{", "}"] : ["(", ")"];
  let depth = 0;
  for (let i = open; i < text.length; i++) {
    if (text[i] === from) depth++;
    if (text[i] === to && --depth === 0) return i;
  }
  return text.length;
}
