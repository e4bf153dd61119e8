// What the numbers say, in plain words: sentences that follow from the intervals, whichever way they fall.
import type { Estimate } from "../analysis/bootstrap.ts";
import type { Story } from "../story/story.ts";
import { formatFixed, formatPercent, formatSigned, formatWhole } from "./html.ts";

/** `0.41 (95 % interval 0.36 to 0.46)`. */
export function sayEstimate({ value, low, high }: Estimate): string {
  return `${formatFixed(value, 2)} (95\u202f% interval ${formatFixed(low, 2)} to ${formatFixed(high, 2)})`;
}

/** `+0.12 (+0.05 to +0.19)`. */
export function sayDifference({ value, low, high }: Estimate): string {
  return `${formatSigned(value, 2)} (${formatSigned(low, 2)} to ${formatSigned(high, 2)})`;
}

export type Verdict = "above" | "level" | "below";

/** What an interval of a difference says. */
export function judge({ low, high }: Estimate): Verdict {
  return low > 0 ? "above" : high < 0 ? "below" : "level";
}

/** Whether all intervals that matter say that something was learned, in one line for the head of the report. */
export function sayHeadline({ probe }: Story): string {
  const verdicts = (["untrained", "intensity", "chance"] as const).map((name) => judge(probe.differences[name].macroF1));
  if (verdicts.every((verdict) => verdict === "above")) return "Areas can be read off its features on a brain that it never saw, better than off any of the baselines.";
  if (verdicts[2] === "above") return "Areas can be read off its features on a brain that it never saw, better than by chance, but not clearly better than off every baseline.";
  return "In this run areas can not be read off its features better than by chance: it was too short, or something is wrong.";
}

/** The paragraph at the head: what was done. */
export function sayWhatWasDone({ dataset, config, parameters, losses, phantom }: Story): string {
  const held = dataset.brains.find(({ heldOut }) => heldOut)!;
  const sections = dataset.brains.reduce((sum, brain) => sum + brain.sections, 0);
  return (
    `A program generated ${sayCount(dataset.brains.length)} brains of stained cortex (seed ${phantom.seed}, ${sections} sections, ${formatWhole(dataset.samples)} places). ` +
    `A small network (preset ${config.preset}, ${formatWhole(parameters)} parameters) was trained for ${formatWhole(losses.length)} steps on ${sayCount(dataset.brains.length - 1)} of them: it saw patches of ${config.data.patch} pixels, ` +
    `and learned to give similar features to patches that lie near each other on the cortical sheet. It was told no area, no layer and no depth, and never saw ${held.id}. ` +
    `Then its weights were frozen, and a linear probe learned to read areas off its features on the same brains, and was tested on ${held.id}.`
  );
}

/** The paragraph at the head: what came out. */
export function sayResult({ probe }: Story): string {
  const { chance, intensity, untrained } = probe.baselines;
  const parts = (["untrained", "intensity"] as const).map((name) => {
    const difference = probe.differences[name].macroF1;
    const what = name === "untrained" ? `the same network without training (${formatFixed(untrained.macroF1.value, 2)})` : `the grey-level statistics of the patches (${formatFixed(intensity.macroF1.value, 2)})`;
    const verdict = judge(difference);
    return verdict === "above" ? `above ${what}, by ${sayDifference(difference)}` : verdict === "below" ? `below ${what}, by ${sayDifference(difference)}` : `not clearly apart from ${what}: ${sayDifference(difference)}`;
  });
  return `Over ${sayCount(probe.classes.length)} areas the probe reaches a macro-F1 of ${sayEstimate(probe.probe.macroF1)}; guessing gives ${formatFixed(chance.macroF1.value, 2)}, and 1 would be perfect. That is ${parts.join(", and ")}.`;
}

/** Why the intervals are what they are. */
export function saySplit({ probe, dataset }: Story): string[] {
  const { train, test, blocks, validation } = probe;
  const trained = dataset.brains.filter(({ heldOut }) => !heldOut).map(({ id }) => id).join(" and ");
  return [
    `Split by brain: ${formatWhole(train.samples)} labelled patches of ${trained} fit the probe, ${formatWhole(test.samples)} of ${test.brains.join(", ")} test it. Everything that is fitted or chosen (scaling, strength of the penalty, number of neighbours, ranges of histograms, batch statistics of the untrained network) comes from the first part; strengths are chosen by leaving out each ${validation.by} in turn there.`,
    `Intervals resample blocks: patches that lie side by side overlap and show the same tissue, so they are not independent. Instead of patches, ${formatWhole(blocks.count)} blocks of ${formatFixed(blocks.edgeMm, 1)} mm of the test brain are drawn with repetition, ${formatWhole(blocks.resamples)} times. All methods see the same draws, so that the differences are paired.`,
    "The intervals cover the choice of places in one held-out brain. They do not cover other brains, other phantoms or other seeds of training.",
  ];
}

/** What this does not show. */
export function sayLimits({ probe, losses, parcels, dataset, phantom }: Story): string[] {
  return [
    "No real brain is in this report. The phantom imitates folded, layered, stained cortex, and its areas differ by rules that we wrote. That areas can be told apart here says that the method and the program work, not that it tells apart the areas of a real brain.",
    "The network is CytoNet-style: built from what the public abstracts say. No parity with the published model, its data or its results is claimed.",
    `${formatWhole(losses.length)} steps of a small network are a demonstration. Longer training gives more; see “How to go on”.`,
    `One brain was held out (${probe.holdOut.join(", ")} of ${dataset.brains.length}), and one seed was used (${phantom.seed}).`,
    `The demonstration's settings (steps, learning rate, σ, augmentation) were chosen by scores on the brains of seed 1. ${phantom.seed === 1 ? "These are those brains, so the scores above are flattered: another seed gives fresh ones." : "The brains above had no part in that."}`,
    `The parcels come from k-means with the true number of areas (${parcels.k}) given. How many there are would be a question of its own.`,
    "Training was given each patch's position in the common space, a little wrong as after registration. Where positions are poor, less is learned.",
    ...probe.notes.map((note) => `From the probe: ${note}.`),
  ];
}

/** Parcels beside areas, in a sentence. */
export function sayParcels({ parcels }: Story): string {
  const { heldOut, all } = parcels;
  return `k-means groups the features of all patches into ${parcels.k} parcels, without labels. On the held-out brain they agree with the true areas by an adjusted Rand index of ${formatFixed(heldOut.ari, 2)} and a normalised mutual information of ${formatFixed(heldOut.nmi, 2)} (all brains: ${formatFixed(all.ari, 2)} and ${formatFixed(all.nmi, 2)}; 1 is equal, 0 is unrelated). A parcel has the colour of the area that it overlaps most, each area's once.`;
}

/** How many places of a section were read right. */
export function sayRight({ asked, right }: { readonly asked: number; readonly right: number }): string {
  return `${right} of ${asked} ${asked === 1 ? "place was" : "places were"} read right.`;
}

/** Nearest patches, in a sentence. */
export function sayNeighbours({ patches }: Story): string {
  return `Of all ${formatWhole(patches.asked)} labelled patches of the held-out brain, ${formatPercent(patches.hits)} have their nearest neighbour in the other brains in the same area; ${formatPercent(patches.chance)} would by chance. Below, one patch of each area, drawn by the seed and not chosen, with the patches of the other brains that look most alike to the network.`;
}

export function sayCount(count: number): string {
  return ["no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"][count] ?? formatWhole(count);
}
