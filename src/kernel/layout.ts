// Uniforms of a dispatch: packed from the descriptor, and held against the `Uniforms` struct and the bindings of the template.
import type { Blueprint } from "./blueprint.ts";
import { librariesOf, variantOf } from "./blueprint.ts";
import type { Kernel, Numbers } from "./define.ts";
import { render, type Rendered } from "./template.ts";

/** Bytes that one dispatch's uniforms take. */
export function uniformBytes(kernel: Kernel): number {
  return Math.ceil((12 + 4 * (kernel.dims.length + kernel.scalars.length)) / 16) * 16;
}

/**
 * `struct Uniforms { origin: vec3u, <dims>: u32, <scalars>: f32 }`: origin is the first workgroup of this dispatch in the
 * kernel's grid, so that a grid can be cut into several dispatches.
 */
export function packUniforms(kernel: Kernel, numbers: Numbers, origin: readonly [number, number, number]): ArrayBuffer {
  const bytes = new ArrayBuffer(uniformBytes(kernel));
  const view = new DataView(bytes);
  origin.forEach((value, axis) => view.setUint32(4 * axis, value, true));
  kernel.dims.forEach((dim, i) => view.setUint32(12 + 4 * i, numbers[dim] ?? 0, true));
  kernel.scalars.forEach((s, i) => view.setFloat32(12 + 4 * (kernel.dims.length + i), numbers[s] ?? 0, true));
  return bytes;
}

/** The WGSL of a blueprint. */
export function renderBlueprint(kernel: Kernel, blueprint: Blueprint): Rendered {
  return render({
    name: `${kernel.name}.${blueprint.variant}`,
    source: variantOf(kernel, blueprint.variant).source,
    libraries: librariesOf(kernel, blueprint.variant),
    flags: new Set(blueprint.flags),
    declaredFlags: kernel.flags,
    constants: blueprint.constants,
    dtype: blueprint.dtype,
  });
}

const BINDING =
  /^\s*@group\(0\)\s*@binding\((\d+)\)\s*var<(uniform|storage,\s*read_write|storage,\s*read)>\s*(\w+)\s*:\s*([^;]+);\s*(?:\/\/\s*\[([^\]]*)\])?/;

/** Everything in which a template's declarations contradict the descriptor: empty when they agree. */
export function lintTemplate(kernel: Kernel, variantName: string): string[] {
  const { source } = variantOf(kernel, variantName);
  const where = `${kernel.name}.${variantName}.wgsl`;
  const mistakes: string[] = [];
  const say = (line: number, message: string) => mistakes.push(`${where}:${line}: ${message}`);
  const lines = source.split("\n");

  const struct = /struct\s+Uniforms\s*\{([^}]*)\}/.exec(source);
  const wanted = ["origin: vec3u", ...kernel.dims.map((d) => `${d}: u32`), ...kernel.scalars.map((s) => `${s}: f32`)];
  if (!struct) say(1, `no struct Uniforms { ${wanted.join(", ")} }`);
  else {
    const found = (struct[1] ?? "").replace(/\/\/.*$/gm, "").split(",").map((member) => member.trim().replace(/\s*:\s*/, ": ")).filter(Boolean);
    if (found.join(", ") !== wanted.join(", "))
      say(source.slice(0, struct.index).split("\n").length, `Uniforms { ${found.join(", ")} }, expected { ${wanted.join(", ")} }`);
  }
  if (!/\.origin\b/.test(source)) say(1, "nothing reads origin; a cut grid would compute its first piece again and again");

  const args = Object.entries(kernel.args);
  const seen = new Set<string>();
  lines.forEach((text, index) => {
    const match = BINDING.exec(text);
    if (!match) return;
    const [, binding, space = "", name = "", type = "", shape] = match;
    const number = Number(binding);
    if (number === 0) {
      if (space !== "uniform") say(index + 1, "binding 0 holds the uniforms");
      return;
    }
    const entry = args[number - 1];
    if (!entry || entry[0] !== name) return say(index + 1, `binding ${number} is ${name}, expected ${entry?.[0] ?? "nothing"}`);
    const arg = entry[1];
    seen.add(name);
    if ((space === "storage, read" || space === "storage,read") !== (arg.access === "read"))
      say(index + 1, `${name} is bound as ${space}, the descriptor says ${arg.access}`);
    const element = /^array<(.+)>$/.exec(type.trim())?.[1] ?? "";
    const scalar = scalarOf(element.trim());
    const expected = arg.dtype === "elem" ? "Elem" : arg.dtype;
    if (scalar !== expected) say(index + 1, `${name} holds ${element || type}, expected an array of ${expected} or of a vector of it`);
    const comment = (shape ?? "").split(",").map((part) => part.trim()).filter(Boolean).join(", ");
    if (comment !== arg.shape.join(", ")) say(index + 1, `the comment gives ${name} the shape [${comment}], the descriptor [${arg.shape.join(", ")}]`);
  });
  for (const [name] of args) if (!seen.has(name)) say(1, `argument ${name} has no binding`);
  return mistakes;
}

const VECTORS: Record<string, string> = { vec2f: "f32", vec4f: "f32", vec2u: "u32", vec4u: "u32", vec2i: "i32", vec4i: "i32", Elem8: "Elem", Elem4: "Elem", Elem2: "Elem" };

function scalarOf(element: string): string {
  return /^vec[24]<(\w+)>$/.exec(element)?.[1] ?? VECTORS[element] ?? /^atomic<(\w+)>$/.exec(element)?.[1] ?? element;
}
