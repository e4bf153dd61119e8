// Looks for barriers that are missing: workgroup memory written by one invocation and touched by another with nothing between.
import { type Blueprint, blueprintKey, variantOf } from "./blueprint.ts";
import type { Kernel } from "./define.ts";
import { renderBlueprint } from "./layout.ts";

/** A word of WGSL and the line it stands on. */
interface Token {
  readonly text: string;
  readonly line: number;
}

type Statement =
  | { readonly kind: "simple"; readonly tokens: readonly Token[] }
  | { readonly kind: "if"; readonly condition: readonly Token[]; readonly then: readonly Statement[]; readonly otherwise: readonly Statement[] }
  | { readonly kind: "loop"; readonly head: readonly Token[]; readonly body: readonly Statement[]; readonly update: readonly Token[] };

interface Fn {
  readonly parameters: readonly string[];
  readonly body: readonly Statement[];
}

/** One touch of workgroup memory. */
interface Access {
  readonly name: string;
  readonly write: boolean;
  /** The index as words; `#` is the number of the invocation. */
  readonly index: string;
  /** Conditions under which it happens. */
  readonly guards: readonly string[];
  readonly line: number;
}

/** What was touched since the last barrier, by a key. */
type State = ReadonlyMap<string, Access>;

const known = new WeakMap<Kernel, Map<string, readonly string[]>>();

/**
 * Every pair of a write to workgroup memory and another touch of the same array that no barrier separates, on any way through the
 * rendered template, loops twice: `softmax.workgroup.wgsl:24: reads tree[0], which line 21 writes …`. Indices are compared as words.
 * It takes for harmless: slabs that take turns, `x[step % 2u * SIZE + …]`, in neighbouring rounds; equal indices that are the invocation's own number; `x[i]` beside `x[i + s]` where the invocation's place is
 * below s (trees); and what one single invocation does. Of two writes it finds those to a constant index: by all invocations, or by one
 * where each writes its own element too. Pointers to workgroup memory are followed into functions and variables.
 */
export function lintBarriers(kernel: Kernel, blueprint: Blueprint): readonly string[] {
  const key = blueprintKey(blueprint);
  const found = known.get(kernel)?.get(key);
  if (found) return found;
  const variant = variantOf(kernel, blueprint.variant);
  // What stands in for another variant has its text: only that one's library is read, the emulation would be gone through for every product.
  const { libraries: _, ...plain } = variant;
  const rendered = renderBlueprint(variant.standsInFor === undefined ? kernel : { ...kernel, variants: { ...kernel.variants, [blueprint.variant]: plain } }, blueprint);
  const place = (line: number) => {
    const { file, line: own } = rendered.origin(line);
    return { file, text: `${file}:${own}`, own };
  };
  // One barrier that is missing parts many accesses: the first pair of each kind tells of it.
  const kinds = new Map<string, Race[]>();
  for (const race of findRaces(rendered.code)) {
    const kind = `${race.after.name} ${race.before.write} ${race.after.write} ${race.before === race.after}`;
    kinds.set(kind, [...(kinds.get(kind) ?? []), race]);
  }
  const mistakes = [...kinds.values()].map((pairs) => {
    const { before, after } = pairs[0]!;
    const [first, second] = [place(before.line), place(after.line)];
    const earlier = first.file === second.file ? `line ${first.own}` : first.text;
    if (before === after) return `${second.text}: all invocations write ${print(after)}, and nothing leaves it to one`;
    return `${second.text}: ${after.write ? "writes" : "reads"} ${print(after)}, which ${earlier} ${before.write ? "writes" : "reads"} as ${print(before)}, without a workgroupBarrier between them${pairs.length > 1 ? ` (and ${pairs.length - 1} more such pairs)` : ""}`;
  });
  known.set(kernel, (known.get(kernel) ?? new Map<string, readonly string[]>()).set(key, mistakes));
  return mistakes;
}

function print({ name, index }: Access): string {
  return index === "" ? name : `${name}[${index.replaceAll("#", "t").replaceAll("′", "").replaceAll("( ", "(").replaceAll(" )", ")").replaceAll(" ,", ",")}]`;
}

/** Two accesses that nothing keeps apart. */
interface Race {
  readonly before: Access;
  readonly after: Access;
}

function findRaces(code: string): Race[] {
  const tokens = tokenise(code);
  const arrays = new Set(tokens.flatMap(({ text }, i) => (text === "workgroup" && tokens[i - 1]?.text === "<" && tokens[i - 2]?.text === "var" ? [tokens[i + 2]?.text ?? ""] : [])));
  if (arrays.size === 0) return [];
  const functions = readFunctions(tokens);
  const main = functions.get("main");
  const builtin = tokens.findIndex(({ text }) => text === "local_invocation_index");
  const own = tokens[builtin + 2]?.text;
  if (!main || builtin < 0 || own === undefined) return [];
  const touching = findTouching(functions, arrays);

  const races = new Map<string, { before: Access; after: Access }>();
  /** Constants of the module with plain values: they decide conditions and tell how many slabs take turns. */
  const constants = new Map([...code.matchAll(/^\s*const\s+(\w+)\s*(?::\s*\w+\s*)?=\s*(\d+)u?\s*;/gm)].map((match) => [match[1]!, Number(match[2])]));
  /** Variables that follow from the number of the invocation: they tell its place. */
  const places = new Set(["#"]);

  /** Whether some invocations have returned, under a condition: those that go on may be any, or one. */
  let some = false;

  const touch = (state: Map<string, Access>, access: Access) => {
    if (access.write && isConstant(access.index) && access.guards.length === 0 && !some) races.set(`${access.line} ${access.line}`, { before: access, after: access });
    for (const before of state.values()) {
      if (before.name !== access.name || !(before.write || access.write)) continue;
      const race = before.write && access.write ? meetInWriting(before, access) && !some : !areApart(before, access, places, constants);
      if (race) races.set(`${before.line} ${access.line}`, { before, after: access });
    }
    state.set(`${access.name} ${access.write} ${access.index} ${access.guards.join()}`, access);
  };

  const words = (list: readonly Token[], names: ReadonlyMap<string, string>) => list.map(({ text }) => names.get(text) ?? text).join(" ");

  /** Touches and calls of one expression, in the order of the words. */
  const evaluate = (written: readonly Token[], state: Map<string, Access>, names: ReadonlyMap<string, string>, guards: readonly string[], depth: number): Map<string, Access> => {
    let now = state;
    const list = followPointers(written, names);
    for (let i = 0; i < list.length; i++) {
      const { text, line } = list[i]!;
      if (text === "workgroupBarrier" || text === "workgroupUniformLoad") now = new Map();
      else if (arrays.has(text)) {
        // A subgroup's matrix: `subgroupMatrixStore<row_major>(&x, place, …)`, or a load.
        const matrix = list[i - 1]?.text === "&" && list[i + 1]?.text === "," && list[i - 3]?.text === ">";
        if (!matrix && list[i - 1]?.text === "&" && isPrefix(list, i - 1)) continue; // its place is taken, nothing is read
        const index = list[i + 1]?.text === "[" ? list.slice(i + 2, closing(list, i + 1)) : matrix ? splitCommas(list.slice(i + 2, closing(list, i - 2)))[0]! : [];
        touch(now, { name: text, write: matrix && list[i - 6]?.text === "subgroupMatrixStore", index: ownIndex(words(index, names), guards), guards, line });
      } else {
        const called = functions.get(text);
        if (!called || list[i + 1]?.text !== "(" || depth > 8) continue;
        const given = splitCommas(list.slice(i + 2, closing(list, i + 1)));
        const inner = new Map(called.parameters.map((name, k) => [name, words(given[k] ?? [], names)]));
        if (!touching.has(text) && ![...inner.values()].some((value) => value.startsWith("& "))) continue;
        now = walk(called.body, now, inner, guards, depth + 1);
      }
    }
    return now;
  };

  const simple = (written: readonly Token[], state: Map<string, Access>, names: Map<string, string>, guards: readonly string[], depth: number): Map<string, Access> => {
    const list = followPointers(written, names);
    const equals = findAssignment(list);
    const target = list[0];
    if (equals < 0 || !target) return evaluate(list, state, names, guards, depth);
    if (!arrays.has(target.text)) {
      if (target.text === "let" && list[1] && list[equals + 1]?.text === "&" && arrays.has(list[equals + 2]?.text ?? "")) names.set(list[1].text, words(list.slice(equals + 1), names));
      if ((target.text === "let" || target.text === "var") && list[1] && [own, "#"].some((name) => list.slice(equals).some(({ text }) => text === name || places.has(text)))) places.add(list[1].text);
      // What comes from a slab that takes turns goes on by the slab's words.
      const value = words(list.slice(equals + 1), names);
      if (TURN.test(value)) names.set(target.text === "let" || target.text === "var" ? list[1]!.text : target.text, `( ${value} )`);
      return evaluate(list, state, names, guards, depth);
    }
    const end = list[1]?.text === "[" ? closing(list, 1) : 0;
    // The right side, the words of the index, and the old value where it is changed in place, are read first.
    let now = evaluate(list.slice(equals + 1), state, names, guards, depth);
    now = evaluate(list.slice(2, Math.max(2, end)), now, names, guards, depth);
    const access = { name: target.text, index: ownIndex(words(list.slice(2, Math.max(2, end)), names), guards), guards, line: target.line };
    if (list[equals]!.text !== "=") touch(now, { ...access, write: false });
    touch(now, { ...access, write: true });
    return now;
  };

  const walk = (body: readonly Statement[], state: State, names: ReadonlyMap<string, string>, guards: readonly string[], depth: number): Map<string, Access> => {
    let now = new Map(state);
    const scope = new Map(names);
    for (const statement of body) {
      if (statement.kind === "simple") {
        if (statement.tokens[0]?.text === "return") {
          now = evaluate(statement.tokens, now, scope, guards, depth);
          if (depth === 0) some ||= guards.length > 0;
          return depth === 0 ? new Map() : now;
        }
        now = simple(statement.tokens, now, scope, guards, depth);
      } else if (statement.kind === "if") {
        now = evaluate(statement.condition, now, scope, guards, depth);
        const condition = words(statement.condition, scope).replace(/^\( (.*) \)$/, "$1");
        const [, name = "", value] = /^(\w+) == (\d+)u?$/.exec(condition) ?? [];
        if (constants.has(name)) {
          now = walk(constants.get(name) === Number(value) ? statement.then : statement.otherwise, now, scope, guards, depth);
          continue;
        }
        const yes = walk(statement.then, now, scope, [...guards, ...condition.split(" && ")], depth);
        const no = walk(statement.otherwise, now, scope, guards, depth);
        now = new Map([...no, ...yes]);
      } else {
        const head = evaluate(statement.head, now, scope, guards, depth);
        // Twice, so that what ends one round meets what begins the next; an index that changes from round to round is another one then.
        const changing = new Set(statement.head.concat(statement.update).map(({ text }) => text).filter((text) => /^[A-Za-z_]\w*$/.test(text) && text !== own));
        const round = (from: State) => evaluate(statement.update, walk(statement.body, from, scope, guards, depth), scope, guards, depth);
        const first = round(head);
        const aged = new Map([...first].map(([key, access]) => [`${key}′`, access.index.split(" ").some((word) => changing.has(word)) ? { ...access, index: `${access.index}′` } : access]));
        now = new Map([...head, ...first, ...round(aged)]);
      }
    }
    return now;
  };
  walk(main.body, new Map(), new Map([[own, "#"]]), [], 0);
  return [...races.values()];
}

/** Under `t == 0`, the index 0 is the invocation's own. */
function ownIndex(index: string, guards: readonly string[]): string {
  return guards.some((guard) => guard === `# == ${index}` || guard === `# == ${index}u`) ? "#" : index;
}

/** Whether an index is made of numbers and of constants of the template alone: it is the same for all invocations. */
function isConstant(index: string): boolean {
  return index.split(" ").every((word) => /^(\d\w*|[A-Z][A-Z0-9_]*|[-+*/()]|)$/.test(word));
}

/** Whether one writes an element that every invocation has as its own, and another, later or before, the one at a constant index. */
function meetInWriting(x: Access, y: Access): boolean {
  const [own, other] = x.index === "#" ? [x, y] : [y, x];
  return own.index === "#" && own.guards.length === 0 && isConstant(other.index) && other.index !== "";
}

/** Whether the word at `at` stands before what it acts on: `&x`, not `a & x`. */
function isPrefix(list: readonly Token[], at: number): boolean {
  const before = list[at - 1]?.text;
  return before === undefined || before === "return" || !/^[\w)\]]/.test(before);
}

/** The same words with `*p`, `(*p)` and `p[` as what p points to, for names that stand for `& something`. */
function followPointers(list: readonly Token[], names: ReadonlyMap<string, string>): readonly Token[] {
  const targetOf = (token: Token | undefined) => (token && names.get(token.text)?.startsWith("& ") ? names.get(token.text)!.slice(2).split(" ").map((text) => ({ text, line: token.line })) : undefined);
  if (!list.some(targetOf)) return list;
  const found: Token[] = [];
  for (let i = 0; i < list.length; i++) {
    const behind = list[i]!.text === "*" && isPrefix(list, i) ? targetOf(list[i + 1]) : undefined;
    const direct = list[i + 1]?.text === "[" ? targetOf(list[i]) : undefined;
    if (behind) {
      // The parentheses of (*p)[i] go too.
      if (found.at(-1)?.text === "(" && list[i + 2]?.text === ")" && isPrefix(found, found.length - 1)) {
        found.pop();
        i++;
      }
      found.push(...behind);
      i++;
    } else if (direct) found.push(...direct);
    else found.push(list[i]!);
  }
  return found;
}

/** A slab's number, `step % STAGES * …`. */
const TURN = /\w+ % \w+(?= \*)/;

/** Whether two touches of an array are of different elements, or by the same invocation. */
function areApart(before: Access, after: Access, places: ReadonlySet<string>, constants: ReadonlyMap<string, number>): boolean {
  if (before.index === after.index && before.index === "#") return true;
  // Slabs that take turns: in neighbouring rounds `x[step % 2u …]` is another slab.
  const turns = [before, after].map(({ index }) => TURN.exec(index)?.[0]);
  const slabs = turns[0]?.split(" % ")[1] ?? "";
  if (turns[0] !== undefined && turns[0] === turns[1] && before.index.endsWith("′") !== after.index.endsWith("′") && (constants.get(slabs) ?? parseInt(slabs)) > 1) return true;
  const alone = (access: Access) => access.guards.find((guard) => /^# == \w+$/.test(guard));
  if (alone(before) !== undefined && alone(before) === alone(after)) return true;
  // A tree: who writes x[i] lies below s, and x[i + s] above it.
  const below = [before, after].every(({ guards }) => guards.some((guard) => {
    const [place = "", limit = "", ...more] = guard.split(" < ");
    return more.length === 0 && places.has(place) && (before.index === `${after.index} + ${limit}` || after.index === `${before.index} + ${limit}`);
  }));
  return below;
}

function tokenise(code: string): Token[] {
  const tokens: Token[] = [];
  code.split("\n").forEach((text, i) => {
    for (const match of text.replace(/\/\/.*$/, "").matchAll(/[A-Za-z_]\w*|\d[\w.]*|<<=|>>=|[-+*/%&|^]=|==|!=|<=|>=|&&|\|\||->|\+\+|--|\S/g)) tokens.push({ text: match[0], line: i + 1 });
  });
  return tokens;
}

const PAIRS: Readonly<Record<string, string>> = { "(": ")", "[": "]", "{": "}" };

/** Where the bracket that opens at `open` closes. */
function closing(tokens: readonly Token[], open: number): number {
  const [from, to] = [tokens[open]?.text ?? "", PAIRS[tokens[open]?.text ?? ""] ?? ""];
  let depth = 0;
  for (let i = open; i < tokens.length; i++) {
    if (tokens[i]!.text === from) depth++;
    if (tokens[i]!.text === to && --depth === 0) return i;
  }
  return tokens.length;
}

/** The operator of an assignment outside of all brackets; -1 in other statements. */
function findAssignment(tokens: readonly Token[]): number {
  let depth = 0;
  return tokens.findIndex(({ text }) => {
    if ("([{".includes(text)) depth++;
    if (")]}".includes(text)) depth--;
    return depth === 0 && (text === "=" || /^([-+*/%&|^]|<<|>>)=$/.test(text) || text === "++" || text === "--");
  });
}

function splitCommas(tokens: readonly Token[]): Token[][] {
  const parts: Token[][] = [[]];
  let depth = 0;
  for (const token of tokens) {
    if ("([{".includes(token.text)) depth++;
    if (")]}".includes(token.text)) depth--;
    if (token.text === "," && depth === 0) parts.push([]);
    else parts.at(-1)!.push(token);
  }
  return parts;
}

function readFunctions(tokens: readonly Token[]): Map<string, Fn> {
  const functions = new Map<string, Fn>();
  tokens.forEach(({ text }, i) => {
    if (text !== "fn") return;
    const end = closing(tokens, i + 2);
    let open = end;
    while (open < tokens.length && tokens[open]!.text !== "{") open++;
    // A comma within a type, as of a pointer, parts none.
    const parameters = splitCommas(tokens.slice(i + 3, end)).filter((part) => part.some((token) => token.text === ":")).map((part) => part[part.findIndex((token) => token.text === ":") - 1]?.text ?? "");
    functions.set(tokens[i + 1]?.text ?? "", { parameters, body: readBlock(tokens, open + 1, closing(tokens, open)) });
  });
  return functions;
}

/** The functions that touch workgroup memory by its name or wait at a barrier, in their own bodies or by calls: all others need no walk. */
function findTouching(functions: ReadonlyMap<string, Fn>, arrays: ReadonlySet<string>): Set<string> {
  const touching = new Set<string>();
  const mentioned = new Map([...functions].map(([name, { body }]) => [name, new Set(wordsOf(body))]));
  const touches = (words: ReadonlySet<string>) => ["workgroupBarrier", "workgroupUniformLoad", ...arrays, ...touching].some((word) => words.has(word));
  for (let before = -1; before < touching.size; ) {
    before = touching.size;
    for (const [name, words] of mentioned) if (touches(words)) touching.add(name);
  }
  return touching;
}

/** Every word of some statements. */
function wordsOf(body: readonly Statement[]): string[] {
  const texts = (tokens: readonly Token[]) => tokens.map(({ text }) => text);
  return body.flatMap((statement) => {
    if (statement.kind === "simple") return texts(statement.tokens);
    if (statement.kind === "if") return [...texts(statement.condition), ...wordsOf(statement.then), ...wordsOf(statement.otherwise)];
    return [...texts(statement.head), ...texts(statement.update), ...wordsOf(statement.body)];
  });
}

/** The statements between two places. */
function readBlock(tokens: readonly Token[], start: number, end: number): Statement[] {
  const statements: Statement[] = [];
  let at = start;
  /** The block in braces that begins at or behind `from`; `at` moves behind it. */
  const block = (from: number): Statement[] => {
    let open = from;
    while (open < end && tokens[open]!.text !== "{") open++;
    const close = closing(tokens, open);
    at = close + 1;
    return readBlock(tokens, open + 1, close);
  };
  const conditional = (): Statement => {
    let open = at + 1;
    while (open < end && tokens[open]!.text !== "{") open++;
    const condition = tokens.slice(at + 1, open);
    const then = block(open);
    if (tokens[at]?.text !== "else") return { kind: "if", condition, then, otherwise: [] };
    at++;
    return { kind: "if", condition, then, otherwise: tokens[at]?.text === "if" ? [conditional()] : block(at) };
  };
  while (at < end) {
    const { text } = tokens[at]!;
    if (text === "if") statements.push(conditional());
    else if (text === "for") {
      const close = closing(tokens, at + 1);
      const inside = tokens.slice(at + 2, close);
      const last = inside.map((token) => token.text).lastIndexOf(";");
      const [head, update] = [inside.slice(0, last), inside.slice(last + 1)];
      statements.push({ kind: "loop", head, update, body: block(close) });
    } else if (text === "while" || text === "loop" || text === "switch") {
      let open = at + 1;
      while (open < end && tokens[open]!.text !== "{") open++;
      const head = tokens.slice(at + 1, open);
      statements.push({ kind: "loop", head, update: [], body: block(open) });
    } else if (text === "{") statements.push(...block(at));
    else {
      const from = at;
      while (at < end && tokens[at]!.text !== ";") at = PAIRS[tokens[at]!.text] === undefined ? at + 1 : closing(tokens, at) + 1;
      if (at > from) statements.push({ kind: "simple", tokens: tokens.slice(from, at) });
      at++;
    }
  }
  return statements;
}
