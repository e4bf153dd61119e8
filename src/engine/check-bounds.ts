// Indices held to the ends of their arrays: a kernel's text with every index of an array watched, and what the watch saw.
import { librariesOf, variantOf } from "../kernel/blueprint.ts";
import { as, type Kernel, update } from "../kernel/define.ts";
import { usesOf } from "../kernel/template.ts";
import { ShaderError } from "./errors.ts";

/** An index in a template: where it stands and what it reaches into. */
interface Site {
  readonly file: string;
  readonly line: number;
  readonly array: string;
}

/** A kernel whose indices are watched. */
export interface Watched {
  readonly kernel: Kernel;
  /** What was seen, given the words of the argument `WATCH`; undefined where every index lay inside. */
  report(words: ArrayLike<number>): string | undefined;
}

/** The argument that the watch reports in: some site with a stray index, the index and the length there, in one store. */
export const WATCH = "watch_";
const WORDS = 4;

const MAIN = /(@compute\s+@workgroup_size\([^)]*\)\s*)fn\s+main\(([^{]*)\)\s*\{/;

/** What names stand for arrays: aliases of types, and functions that give one. */
interface Known {
  readonly types: ReadonlyMap<string, string>;
  readonly functions: ReadonlyMap<string, string>;
}

/** For an array: the WGSL of its length, and of the arrays in it. */
interface Length {
  readonly length: string;
  readonly inner?: Length;
}

/** Arrays by name; null hides an outer one of the same name. */
type Scope = ReadonlyMap<string, Length | null>;

/**
 * The same kernel, in one variant, with each index of an array in storage, workgroup memory or a function, but for those behind pointers and in structures, compared with the array's
 * length before it is used. A stray index is noted and moved to the last element. Browsers and drivers do the same unseen, and do not
 * do it at all where they are told to trust the kernel: nothing but this tells that a read went astray.
 */
export function watchIndices(kernel: Kernel, variantName: string): Watched {
  const variant = variantOf(kernel, variantName);
  const own = librariesOf(kernel, variantName);
  const sites: Site[] = [];
  const all = [variant.source, ...libraryNames(own, variant.source).map((name) => own[name] ?? "")].join("\n");
  const known = {
    types: new Map([...all.matchAll(/\balias\s+(\w+)\s*=\s*(array\s*<[^;]*)/g)].map(([, name, type]) => [name!, type!] as const)),
    functions: new Map([...all.matchAll(/\bfn\s+(\w+)\s*\([^{]*->\s*([^{]*)\{/g)].map(([, name, type]) => [name!, type!.trim()] as const)),
  };
  const globals = new Map([...all.matchAll(/\bvar<(storage|workgroup|private)[^>]*>\s*(\w+)\s*:\s*/g)].flatMap(([found, space, name]) => {
    const length = lengthOf(all.slice(all.indexOf(found) + found.length), known.types, space === "storage" ? name! : undefined);
    return length ? [[name!, length] as const] : [];
  }));
  const watch = (file: string, text: string) => watchText(text, globals, known, (array, line) => sites.push({ file, line, array }));
  const binding = Object.keys(kernel.args).length + 1;
  if (!MAIN.test(variant.source)) throw new ShaderError(`${kernel.name}.${variantName}.wgsl: its indices cannot be watched, expected "@compute @workgroup_size(…)" and then "fn main("`);
  // What is seen is kept in a variable and stored at the end, once: a store at every index would take compilers minutes.
  const source = `${watch(`${kernel.name}.${variantName}.wgsl`, variant.source).replace(MAIN, (_, head: string, parameters: string) => {
    const names = splitAt(parameters).map((one) => /(\w+)\s*:/.exec(one)?.[1] ?? "");
    const end = `${head}fn main(${parameters}) { watchedMain_(${names.join(", ")}); if (seen_.x != 0u) { ${WATCH}[0] = seen_; } }`;
    return `${end} fn watchedMain_(${parameters.replace(/@builtin\(\w+\)\s*/g, "")}) {`;
  })}
@group(0) @binding(${binding}) var<storage, read_write> ${WATCH}: array<vec4u>; // [${WORDS}]
var<private> seen_: vec4u;
fn watched_(i: u32, length: u32, site: u32) -> u32 {
  seen_ = select(seen_, vec4u(site, i, length, 0u), i >= length);
  return min(i, max(length, 1u) - 1u);
}
`;
  const libraries = Object.fromEntries(Object.entries(own).map(([name, text]) => [name, watch(`lib/${name}.wgsl`, text)]));
  return {
    kernel: {
      ...kernel,
      name: `${kernel.name} (indices watched)`,
      args: { ...kernel.args, [WATCH]: as("u32", update(WORDS)) },
      inputs: { ...kernel.inputs, [WATCH]: () => 0 },
      libraries,
      variants: { ...kernel.variants, [variantName]: { ...variant, source, libraries: {} } },
    },
    report(words) {
      const site = sites[(words[0] ?? 0) - 1];
      if (!site) return undefined;
      const at = words[1]! > 0x7fffffff ? words[1]! - 2 ** 32 : words[1]!;
      return `${site.file}:${site.line}: index ${at} of ${site.array}, which has ${words[2]} elements`;
    },
  };
}

/** Libraries of a template, those of libraries included. */
function libraryNames(libraries: Readonly<Record<string, string>>, source: string): string[] {
  const names = usesOf(source);
  for (const name of names) for (const more of usesOf(libraries[name] ?? "")) if (!names.includes(more)) names.push(more);
  return names;
}

/** The length that a type's text tells: `array<T, N>` has N, `array<T>` what the binding `runtime` has; undefined for what is no array. */
function lengthOf(text: string, types: Known["types"], runtime?: string): Length | undefined {
  const type = types.get(/^\w+/.exec(text)?.[0] ?? "") ?? text;
  if (!/^array\s*</.test(type)) return undefined;
  const open = type.indexOf("<");
  const [element = "", count] = splitAt(type.slice(open + 1, closingOf(type, open)));
  const inner = lengthOf(element.trim(), types);
  if (count === undefined) return runtime === undefined ? undefined : { length: `arrayLength(&${runtime})`, ...(inner ? { inner } : {}) };
  return { length: `u32(${count.trim()})`, ...(inner ? { inner } : {}) };
}

const CLOSING: Readonly<Record<string, string>> = { "<": ">", "(": ")", "[": "]", "{": "}" };

/** Where the bracket at `open` closes. */
function closingOf(text: string, open: number): number {
  const [from, to] = [text[open]!, CLOSING[text[open]!]!];
  let depth = 0;
  for (let i = open; i < text.length; i++) {
    if (text.startsWith("//", i)) i = endOfLine(text, i);
    if (text[i] === from) depth++;
    if (text[i] === to && --depth === 0) return i;
  }
  return text.length;
}

function endOfLine(text: string, from: number): number {
  const end = text.indexOf("\n", from);
  return end < 0 ? text.length : end;
}

/** Parts between the commas outside of brackets. */
function splitAt(text: string): string[] {
  const parts = [""];
  let depth = 0;
  for (const letter of text) {
    if ("<([".includes(letter)) depth++;
    if (">)]".includes(letter)) depth--;
    if (letter === "," && depth === 0) parts.push("");
    else parts[parts.length - 1] += letter;
  }
  return parts;
}

/** The text with its indices watched, line by line as before. `note` gives each its number. */
function watchText(text: string, globals: Scope, known: Known, note: (array: string, line: number) => number): string {
  const scopes = functionsOf(text).map(({ start, end }) => ({ start, end, names: new Map([...globals, ...localsOf(text.slice(start, end), known)]) }));
  const line = (at: number) => text.slice(0, at).split("\n").length;

  /** The part of the text from `from` to `to`, inside of a function. */
  const rewrite = (from: number, to: number, names: Scope): string => {
    let out = "";
    let i = from;
    while (i < to) {
      if (text.startsWith("//", i)) {
        const end = Math.min(to, endOfLine(text, i));
        out += text.slice(i, end);
        i = end;
        continue;
      }
      const word = /^[A-Za-z_]\w*/.exec(text.slice(i, i + 64))?.[0];
      if (word === undefined || /[\w.]/.test(text[i - 1] ?? "")) {
        out += word ?? text[i];
        i += word?.length ?? 1;
        continue;
      }
      out += word;
      i += word.length;
      let length: Length | null | undefined = names.get(word);
      while (length && text[i] === "[") {
        const close = closingOf(text, i);
        out += `[watched_(u32(${rewrite(i + 1, close, names)}), ${length.length}, ${note(word, line(i))}u)]`;
        i = close + 1;
        length = length.inner;
      }
    }
    return out;
  };

  let out = "";
  let at = 0;
  for (const { start, end, names } of scopes) {
    out += text.slice(at, start) + rewrite(start, end, names);
    at = end;
  }
  return out + text.slice(at);
}

/** Where functions stand, from their parameters to their last brace. */
function functionsOf(text: string): { start: number; end: number }[] {
  return [...text.matchAll(/^\s*(?:@[^\n]*\s)?fn\s+\w+\s*\(/gm)].map(({ index, 0: head }) => {
    const start = index + head.length - 1;
    const body = text.indexOf("{", closingOf(text, start));
    return { start, end: closingOf(text, body) + 1 };
  });
}

/** What a function declares: arrays whose length its text tells, and null for everything else. */
function localsOf(text: string, { types, functions }: Known): [string, Length | null][] {
  const parameters = splitAt(text.slice(1, closingOf(text, 0))).flatMap((part): [string, Length | null][] => {
    const [, name, type] = /(\w+)\s*:\s*(.*)/s.exec(part) ?? [];
    return name === undefined ? [] : [[name, lengthOf(type ?? "", types) ?? null]];
  });
  const declared = [...text.matchAll(/\b(?:var|let|const)\s+(\w+)\s*(:|=)\s*/g)].map(({ index, 0: head, 1: name, 2: sign }): [string, Length | null] => {
    const rest = text.slice(index + head.length);
    const listed = sign === "=" ? /^array\s*\(/.exec(rest) : null;
    if (listed) return [name!, { length: `${splitAt(rest.slice(listed[0].length, closingOf(rest, listed[0].length - 1))).length}u` }];
    const given = sign === "=" ? functions.get(/^(\w+)\s*\(/.exec(rest)?.[1] ?? "") : undefined;
    return [name!, lengthOf(given ?? rest, types) ?? null];
  });
  return [...parameters, ...declared];
}
