// The model card: what weights are, what they were made of and how, what they are for and what not, as Markdown beside them.
import { prettyJson, type JsonObject } from "../data/json.ts";
import { flattenSettings, resolveConfig } from "./config.ts";
import { countModel } from "./count.ts";
import { presetOf } from "./presets.ts";

export interface CardFacts {
  /** As resolved. */
  readonly config: JsonObject;
  readonly step: number;
  /** What it was trained on; undefined for weights of others. */
  readonly dataset?: { readonly name: string; readonly hash: string; readonly brains: number; readonly sections: number; readonly samples: number };
  /** Of the last step. */
  readonly metrics?: Readonly<Record<string, unknown>>;
  /** Versions, adapter, driver. */
  readonly environment: JsonObject;
}

/** The same facts give the same text: no time and no place is in it. */
export function writeCard({ config, step, dataset, metrics, environment }: CardFacts): string {
  const resolved = resolveConfig(flattenSettings(config));
  const preset = presetOf(resolved);
  const { patch, pixelSizeUm, intensity, normalise, mean, deviation } = resolved.data;
  const { encoder, projection } = countModel(preset, { side: patch });
  const number = (value: number) => value.toLocaleString("en-US");
  const done = step >= resolved.steps;
  const lines = [
    `# Model card: ${preset.name}, ${number(step)} of ${number(resolved.steps)} steps`,
    "",
    `Weights of a CytoNet-style encoder${done ? "" : " in the middle of its training"}: a network that turns a patch of a stained section of cerebral cortex into a feature vector. It learned without labels, from where patches lie. The method follows what is public about CytoNet; it is not the published model, none of its weights or data were used, and no parity with its figures is claimed.`,
    "",
    "## Model",
    "",
    `- ${preset.doc}${preset.doc.endsWith(".") ? "" : "."}`,
    `- ${number(encoder.parameters)} parameters in the encoder, ${number(projection.parameters)} in the projection that only training uses; ${(encoder.multiplyAdds / 1e9).toPrecision(3)} G multiply-adds for a patch.`,
    `- Input: grey patches of ${patch} × ${patch} px at ${pixelSizeUm === null ? "the pixel size of their section" : `${pixelSizeUm} µm per pixel`}; ${intensity === "density" ? "optical density" : "grey levels"}${normalise === "section" ? ", each section brought to one mean and contrast" : ""}, then (x − ${mean}) / ${deviation}.`,
    `- Output: ${preset.width} features a patch.`,
    "",
    "## Training",
    "",
    ...(dataset
      ? [`- Data: ${JSON.stringify(dataset.name)}, ${number(dataset.brains)} ${dataset.brains === 1 ? "brain" : "brains"}, ${number(dataset.sections)} sections, ${number(dataset.samples)} places; SHA-256 \`${dataset.hash}\`.`]
      : ["- Data: not known."]),
    `- Held out: ${resolved.holdOut.length > 0 ? resolved.holdOut.map((name) => JSON.stringify(name)).join(", ") : "no brain; there is nothing unseen to measure it on"}.`,
    ...Object.entries(metrics ?? {}).flatMap(([key, value]) => (typeof value === "number" ? [`- ${key}: ${Number.isFinite(value) ? Number(value.toPrecision(5)) : String(value)} at step ${number(step)}.`] : [])),
    `- Made with ${Object.entries(environment).filter(([, value]) => typeof value === "string").map(([key, value]) => `${key} ${String(value)}`).join(", ") || "an unknown version"}.`,
    "",
    "The loss says how well training goes, not how good the features are: `cytonet probe` measures that on brains held out.",
    "",
    "## Intended use",
    "",
    "Research on the microscopic architecture of cortex: comparing places, finding similar ones, reading off areas or layers with a probe of one's own, on sections prepared and scanned as those trained on.",
    "",
    "## Limits",
    "",
    "- Not a medical device; not for diagnosis or treatment.",
    "- Features hang on stain, scanner, pixel size and species. Sections unlike those above give numbers all the same, and they may mean nothing: measure before trusting them.",
    "- What was learned from few brains cannot be said of brains in general.",
    "- Features may tell brains and sections apart by their preparation rather than by their tissue.",
    "",
    "## Licence",
    "",
    "Unknown: none is granted for these weights. That of the data is in its manifest, and may bind what is made of it.",
    "",
    "## Configuration",
    "",
    "```json",
    prettyJson(flattenSettings(config), "config"),
    "```",
    "",
  ];
  return lines.join("\n");
}
