// The verbs as people see them: examples, arguments, options. What a verb does is loaded when it runs, so that help answers at once.
import { Option, type Command } from "commander";
import { EXIT_CODES, UserError } from "../errors.ts";
import { CHECK_MODES, FORMATS, RESUME_MODES, collect, oneOf, listOf, memorySize, numberWithin, positiveNumber, share, wholeNumber, wholeNumbers, type CheckMode, type Format } from "./arguments.ts";
import type { BenchFlags, CompareFlags } from "./verbs/bench.ts";
import type { BenchModelFlags } from "./verbs/bench-model.ts";
import type { CheckFlags } from "./verbs/check.ts";
import type { DemoFlags } from "./verbs/demo.ts";
import type { DoctorFlags } from "./verbs/doctor.ts";
import type { EmbedFlags } from "./verbs/embed.ts";
import type { ExportFlags } from "./verbs/export.ts";
import type { ImportFlags } from "./verbs/import.ts";
import type { InspectFlags } from "./verbs/inspect.ts";
import type { KernelFlags } from "./verbs/kernel.ts";
import type { ReplayFlags } from "./verbs/replay.ts";
import type { ProfileFlags } from "./verbs/profile.ts";
import type { ProbeFlags } from "./verbs/probe.ts";
import type { PhantomFlags } from "./verbs/phantom.ts";
import type { TrainFlags } from "./verbs/train.ts";
import type { TuneFlags } from "./verbs/tune.ts";
import type { VerifyFlags } from "./verbs/verify.ts";

type Optional<T, K extends keyof T> = Omit<T, K> & Partial<Pick<T, K>>;

/** Pixel sizes that microscopes and scanners have, µm: what lies beyond is another unit. */
const PIXEL_SIZES = [1e-4, 1e5] as const;

/** An option that must be given: checked here, because commander would ask for it before it names an option that does not exist. */
function need<T>(verb: string, option: string, value: T | undefined): T {
  if (value === undefined) throw new UserError(EXIT_CODES.usage, `cytonet ${verb}: ${option} is missing`, [`\`cytonet ${verb} --help\` shows examples and options.`]);
  return value;
}

/** Refuses options of the verb around this one that mean nothing here: they would be ignored without a word. */
function refuseOuter(command: Command, taken: readonly string[]): void {
  const outer = command.parent;
  const ignored = outer?.options.find((option) => outer.getOptionValueSource(option.attributeName()) === "cli" && !taken.includes(option.attributeName()));
  if (outer && ignored) throw new UserError(EXIT_CODES.usage, `cytonet ${outer.name()} ${command.name()}: ${ignored.long ?? ignored.flags} means nothing here, expected it with \`cytonet ${outer.name()}\` alone`, [`\`cytonet ${outer.name()} ${command.name()} --help\` shows examples and options.`]);
}

/** Adds a verb whose help begins with examples. */
function addVerb(program: Command, name: string, summary: string, examples: readonly string[]): Command {
  return program.command(name).description(summary).addHelpText("before", formatExamples(examples));
}

/** The first block of a help text. */
export function formatExamples(examples: readonly string[]): string {
  return `Examples:\n${examples.map((line) => `  ${line}\n`).join("")}`;
}

function withAdapter(command: Command): Command {
  return command.option("--adapter <name>", "part of an adapter's name, as CYTONET_ADAPTER (default: the fastest GPU, then lavapipe, then the CPU adapter that comes along)");
}

function withFormat(command: Command): Command {
  return command.option("--format <format>", `what stdout gets: ${FORMATS.join(", ")}`, oneOf("--format", FORMATS), "table" satisfies Format);
}

function withOutput(command: Command): Command {
  return withFormat(command)
    .option("--output <file>", "write there instead of to stdout, the whole file or nothing")
    .option("--force", "replace the file that is there");
}

/** Adds every verb to the program. */
export function addVerbs(program: Command): void {
  withOutput(withAdapter(addVerb(program, "doctor", "look whether this machine is ready, and say what to do where it is not", ["cytonet doctor", "cytonet doctor --adapter lavapipe --format json"]))).action(
    async (flags: DoctorFlags) => (await import("./verbs/doctor.ts")).runDoctor(flags),
  );

  withFormat(
    addVerb(program, "import", "make a dataset of images and a CSV table of positions", [
      "cytonet import scans --out brains --table spots.csv --image '{slide}.png' --section slide --x x --y y --units px --pixel-size 2",
      "cytonet import scans --out brains --table spots.csv --image '{slide}/scan.jpg' --section slide --x x_um --y y_um --units um \\",
      "    --pixel-size-column um_per_px --brain donor --label layer --space-by brain",
    ])
      .argument("<source>", "folder that the other paths are relative to")
      .option("--out <dir>", "the dataset to make: a new folder (required)")
      .option("--table <file>", "CSV of positions, one row a sample (required)")
      .option("--image <template>", "path of a section's image, with columns in braces (required)")
      .option("--section <column>", "column with the section's name (required)")
      .option("--x <column>", "column with the position to the right from the image's left edge (required)")
      .option("--y <column>", "column with the position down from the image's upper edge (required)")
      .option("--units <px|um>", "units of --x and --y (required)", oneOf("--units", ["px", "um"]))
      .option("--pixel-size <um>", "µm per pixel of all images (this or the next is required)", numberWithin("--pixel-size", ...PIXEL_SIZES))
      .option("--pixel-size-column <column>", "column with the µm per pixel")
      .option("--brain <column>", "column with the brain's name (default: all sections are of one brain)")
      .option("--id <column>", "column with the sample's name")
      .option("--label <column>", "label column; may be repeated", collect)
      .option("--value <column>", "column of numbers, such as a depth or a density; may be repeated", collect)
      .option("--missing-label <word>", "cell that means \"not labelled\" or \"not measured\", besides the empty one; may be repeated", collect)
      .option("--sections-table <file>", "CSV with one row a section, for columns that the table of positions lacks")
      .option("--section-key <column>", "its column with the section's name (default: as --section)")
      .option("--z-from <column[:regexp]>", "position of a section along its normal; the number is the pattern's first group")
      .option("--z-units <um|mm>", "units of that number (default: um)", oneOf("--z-units", ["um", "mm"]))
      .option("--position <x,y,z>", "three columns with the position in the reference space in mm (default: that in the section)")
      .option("--space-by <rule>", "which sections share a reference space: section (none), brain, or a template such as '{brain}@{z}'", "section")
      .option("--name <name>", "name of the dataset (default: that of --out)")
      .option("--licence <text>", "licence of the data, kept in the manifest")
      .option("--force", "replace the dataset that is there"),
  ).action(async (source: string, flags: ImportFlags) => (await import("./verbs/import.ts")).runImport(source, flags));

  withFormat(
    addVerb(program, "phantom", "generate brains of which everything is known, as a dataset", [
      "cytonet phantom --out phantom --seed 1",
      "cytonet phantom --out phantom --seed 2 --brains 3 --size medium",
      "cytonet phantom --out fine --seed 3 --brains 1 --sections 1 --size large",
    ])
      .option("--out <dir>", "the dataset to make: a new folder (required)")
      .option("--seed <n>", "the same seed gives the same bytes", wholeNumber("--seed", 0), 1)
      .option("--brains <n>", "brains, all in one reference space (default: 3)", wholeNumber("--brains", 1))
      .option("--size <small|medium|large>", "small: seconds to make; medium: enough to learn from; large: 2 µm/px, for patches of 2048 px", oneOf("--size", ["small", "medium", "large"]), "small")
      .option("--sections <n>", "sections of each brain (default: 6, 16, 2 by size)", wholeNumber("--sections", 1))
      .option("--no-truth", "without masks and lists of cells beside the sections; the table's columns stay")
      .option("--force", "replace the dataset that is there"),
  ).action(async (flags: PhantomFlags) => (await import("./verbs/phantom.ts")).runPhantom(flags));

  withFormat(
    withAdapter(
      addVerb(program, "train", "train a model on a dataset without labels", [
        "cytonet train brains --preset tiny --steps 1000 --out runs/first",
        "cytonet train brains --preset vit-tiny --steps 1000 --out runs/second --hold-out B21 --set loss.tau=0.2",
        "cytonet train brains --config run.yaml --set loss.tau=0.2 --out runs/third",
        "cytonet train brains --preset r50 --set data.patch=2048 --batch 64 --micro 2 --memory 8GiB --dry-run",
        "cytonet train brains --out runs/first --resume",
        "cytonet train brains --config run.yaml --out runs/third --resume auto",
      ])
        .argument("<dataset>", "folder that `cytonet import` made, see docs/dataset.md")
        .option("--out <run>", "the run's folder; the final weights are RUN/model.safetensors (required)")
        .option("--preset <name>", "model: tiny, vit-tiny, r50, vit-s, vit-b, hybrid, rfb (default: tiny)")
        .option("--steps <n>", "optimizer steps (default: 300)", wholeNumber("--steps", 1))
        .option("--seed <n>", "seed of weights, order and augmentation (default: 1)", wholeNumber("--seed", 0))
        .option("--hold-out <brain>", "brain that training never sees; may be repeated", collect)
        .option("--batch <n>", "patches in a step: batch.groups times batch.groupSize (default: 64)", wholeNumber("--batch", 2))
        .option("--micro <n>", "of those, patches that go through the encoder at once: the gradient is that of the whole batch, the memory that of so many (default: all)", wholeNumber("--micro", 1))
        .option("--memory <size>", "most that it takes on the device, such as 8GiB; where it would take more, results are computed twice (default: 3/4 of what a CPU adapter has, of GPUs unlimited)", memorySize("--memory"))
        .option("--dry-run", "only say what it would take: parameters, memory by purpose, operations, bytes, time; trains nothing and writes nothing, needs no --out")
        .option("--config <file>", "settings in YAML or JSON; options and --set go before what it says")
        .option("--set <key=value>", "any other setting, see `cytonet --help settings`; may be repeated", collect)
        .option("--no-live", "on a terminal: one line of progress instead of the view with curves")
        .option("--resume [auto]", "continue the run that is there from its last checkpoint; with auto begin one where there is none, so that a job may always say the same", oneOf("--resume", RESUME_MODES))
        .option("--force", "replace the run that is there"),
    ),
  ).action(async (dataset: string, flags: Optional<TrainFlags, "out">) => (await import("./verbs/train.ts")).runTrain(dataset, { ...flags, out: flags.dryRun && !flags.resume ? (flags.out ?? "") : need("train", "--out RUN", flags.out) }));

  withOutput(
    withAdapter(
      addVerb(program, "replay", "take one step of a run again and tell its numbers; nothing of the run changes", [
        "cytonet replay runs/first/failed-step-0000000412.safetensors brains",
        "CYTONET_DEBUG=nan cytonet replay runs/first/failed-step-0000000412.safetensors brains",
        "cytonet replay runs/first/checkpoints/step-0000000400.safetensors brains --format json",
      ])
        .argument("<state>", "what a run left that gave up, or any checkpoint: the step after it is taken")
        .argument("<dataset>", "the dataset of the run"),
    ),
  ).action(async (state: string, dataset: string, flags: ReplayFlags) => (await import("./verbs/replay.ts")).runReplay(state, dataset, flags));

  withFormat(
    withAdapter(
      addVerb(program, "embed", "compute the features of every sample of a dataset, or of places on one image", [
        "cytonet embed runs/first brains --out features.safetensors --map maps",
        "cytonet embed runs/first/model.safetensors scan.png --pixel-size 2 --stride 64 --out features.csv",
      ])
        .argument("<run>", "folder of a run, or a model.safetensors")
        .argument("<input>", "a dataset, or one PNG or JPEG image")
        .option("--out <file>", "file to write: .safetensors, .npy or .csv (required)")
        .option("--attention <file>", "also write where the encoder looked in each patch, as safetensors [samples, heads, rows, columns]")
        .option("--ema", "take the run's moving averages (ema.decay) instead of its final weights")
        .option("--map <dir>", "also paint the features over each section, coloured by their principal components")
        .option("--pixel-size <um>", "µm per pixel of the image (required for an image)", numberWithin("--pixel-size", ...PIXEL_SIZES))
        .option("--stride <um>", "distance of the places on an image (default: half a patch)", positiveNumber("--stride"))
        .option("--batch <n>", "patches at once", wholeNumber("--batch", 1), 64)
        .option("--force", "replace what is there"),
    ),
  ).action(async (run: string, input: string, flags: Optional<EmbedFlags, "out">) => (await import("./verbs/embed.ts")).runEmbed(run, input, { ...flags, out: need("embed", "--out FILE", flags.out) }));

  withOutput(
    withAdapter(
      addVerb(program, "probe", "measure how well a label is read off the features of a run on brains held out, beside baselines", [
        "cytonet probe runs/first brains --label layer --hold-out B21",
        "cytonet probe runs/first brains --label layer --hold-out B21 --classes L3,L4,L5,L6,WM --format json --output probe.json",
      ])
        .argument("<run>", "folder of a finished run, or a model.safetensors")
        .argument("<dataset>", "dataset with a label column")
        .option("--label <column>", "label column to read off (required)")
        .option("--hold-out <brain>", "brain to test on, all others train; may be repeated (required)", collect)
        .option("--classes <names>", "only these classes, with commas between them (default: all)")
        .option("--max-samples <n>", "training samples at most, drawn by the seed (default: 5000)", wholeNumber("--max-samples", 2))
        .option("--block-mm <mm>", "edge of the blocks that intervals resample (default: two patches)", positiveNumber("--block-mm"))
        .option("--resamples <n>", "resamples of the blocks (default: 2000)", wholeNumber("--resamples", 1000))
        .option("--seed <n>", "seed of the draws (default: 1)", wholeNumber("--seed", 0)),
    ),
  ).action(async (run: string, dataset: string, flags: Optional<ProbeFlags, "label" | "holdOut">) =>
    (await import("./verbs/probe.ts")).runProbe(run, dataset, { ...flags, label: need("probe", "--label COLUMN", flags.label), holdOut: need("probe", "--hold-out BRAIN", flags.holdOut) }),
  );

  addVerb(program, "export", "write the encoder of a run, or of others' weights, as ONNX, as safetensors of ours, or as timm's state dict", [
    "cytonet export runs/first --out encoder.onnx --maps",
    "cytonet export runs/first --format timm --out encoder.safetensors",
    "cytonet export resnet50.safetensors --preset r50 --set model.pool=average --patch 224 --out r50.safetensors",
    "cytonet export ultraface_RFB-320.onnx --preset rfb --out rfb.safetensors",
  ])
    .argument("<source>", "folder of a run, or a file: model.safetensors, a checkpoint, a state dict as safetensors, an ONNX model")
    .option("--out <file>", "file to write (required)")
    .option("--format <format>", "onnx, safetensors (ours, for embed and probe) or timm (default: by the ending of --out)", oneOf("--format", ["onnx", "safetensors", "timm"]))
    .option("--maps", "onnx: an output with where the encoder looked, too")
    .option("--preset <name>", "what weights of others are of: tiny, vit-tiny, r50, vit-s, vit-b, hybrid, rfb")
    .option("--patch <px>", "side of the images, for weights of others (default: 224, of tiny models 64)", wholeNumber("--patch", 1))
    .option("--set <key=value>", "any other setting, for weights of others, such as data.mean=0.449; may be repeated", collect)
    .option("--print <format>", `what stdout gets: ${FORMATS.join(", ")}`, oneOf("--print", FORMATS), "table" satisfies Format)
    .option("--force", "replace the file that is there")
    .action(async (source: string, flags: Optional<ExportFlags, "out">) => (await import("./verbs/export.ts")).runExport(source, { ...flags, out: need("export", "--out FILE", flags.out) }));

  withOutput(
    addVerb(program, "inspect", "show what a file of weights, a run or a dataset holds", ["cytonet inspect runs/first", "cytonet inspect encoder.onnx --format json", "cytonet inspect resnet50.safetensors --values"])
      .argument("<path>", "folder of a run or a dataset, or a file: safetensors or ONNX")
      .option("--values", "also the range of each tensor's values, and how many are not finite"),
  ).action(async (path: string, flags: InspectFlags) => (await import("./verbs/inspect.ts")).runInspect(path, flags));

  withOutput(
    addVerb(program, "verify", "look whether a file of weights, a run or a dataset is whole: exit code 65 where it is not", ["cytonet verify runs/first", "cytonet verify brains --format json", "cytonet verify model.safetensors"]).argument("<path>", "folder of a run or a dataset, or a file: safetensors or ONNX"),
  ).action(async (path: string, flags: VerifyFlags) => (await import("./verbs/verify.ts")).runVerify(path, flags));

  withOutput(
    withAdapter(
      addVerb(program, "check", "compare every kernel in every variant, and every gradient, with its f64 reference", [
        "cytonet check",
        "cytonet check matmul --mode forward --seed 7",
        "cytonet check --mode support",
        "cytonet check --mode accuracy --format json --output accuracy.json",
      ])
        .argument("[name]", "part of a kernel's or an op's name")
        .option("--mode <mode>", `what to do: ${CHECK_MODES.join(", ")} (test: forward and gradient)`, oneOf("--mode", CHECK_MODES), "test" satisfies CheckMode)
        .option("--only <case>", "run one case, as a failed check prints it")
        .option("--seed <n>", "seed of the inputs and of the shapes that are drawn", wholeNumber("--seed", 0), 1),
    ),
  ).action(async (name: string | undefined, flags: CheckFlags) => (await import("./verbs/check.ts")).runChecks(name, flags));

  const bench = withOutput(
    withAdapter(
      addVerb(program, "bench", "measure kernels: time, GFLOP/s, GB/s, and how near they come to the device's peaks", [
        "cytonet bench conv2d --seconds 60",
        "cytonet bench matmul --set m=64:4096:*2 --set n=384,1536",
        "cytonet bench layer-norm --set WIDTH=32,64,128,256",
        "cytonet bench matmul --dtype f32 --format json --output before.json",
        "cytonet bench compare before.json after.json --fail-on 5%",
        "cytonet bench model --preset tiny --batch 64",
      ])
        .argument("[name]", "part of a kernel's or a case's name")
        .option("--set <name=values>", "sweep a size or a constant: a list, from:to:step or from:to:*factor; may be repeated", collect)
        .option("--variant <name>", "only this variant; may be repeated", collect)
        .option("--dtype <f32|f16>", "only this element type", oneOf("--dtype", ["f32", "f16"]))
        .option("--visits <n>", "how often each case is visited, all others in between (default: 6)", wholeNumber("--visits", 1))
        .option("--rounds <n>", "measurements of each variant at a visit, taken in turns (default: 9)", wholeNumber("--rounds", 1))
        .option("--min-milliseconds <ms>", "shortest measurement (default: 10)", positiveNumber("--min-milliseconds"))
        .option("--max-flops <n>", "leave out cases of more arithmetic operations", positiveNumber("--max-flops"))
        .option("--seconds <s>", "end after this time, between two visits; what is measured is kept", positiveNumber("--seconds")),
    ),
  );
  withOutput(
    withAdapter(
      addVerb(program, "tune", "find the fastest variant and constants of kernels on your adapter, for plans to use", [
        "cytonet tune --minutes 10",
        "cytonet tune matmul --set m=256:4096:*2 --dtype f32",
        "cytonet tune --list",
        "cytonet tune layer-norm --clear",
      ])
        .argument("[name]", "part of a kernel's or a case's name")
        .option("--set <name=values>", "tune for these sizes: a list, from:to:step or from:to:*factor; may be repeated", collect)
        .option("--dtype <f32|f16>", "only this element type", oneOf("--dtype", ["f32", "f16"]))
        .option("--max-flops <n>", "leave out cases of more arithmetic operations", positiveNumber("--max-flops"))
        .option("--minutes <n>", "begin nothing after this time; the same command goes on", positiveNumber("--minutes"), 5)
        .option("--timeout <s>", "seconds until a candidate counts as hung", positiveNumber("--timeout"), 60)
        .option("--rounds <n>", "measurements of each candidate, in turns with the kernel's own choice (default: 9)", wholeNumber("--rounds", 3))
        .option("--store <file>", "keep the choices there (default: CYTONET_TUNED, or tuned.json in the cache folder)")
        .option("--again", "also tune what is tuned already")
        .option("--list", "print the choices that are kept, and those that ship")
        .option("--clear", "forget the choices that are kept")
        .addOption(new Option("--worker").hideHelp()),
    ),
  ).action(async (name: string | undefined, flags: TuneFlags) => (await import("./verbs/tune.ts")).runTune(name, flags));
  bench.action(async (name: string | undefined, flags: BenchFlags) => (await import("./verbs/bench.ts")).runBench(name, flags));
  withOutput(
    addVerb(bench, "compare", "compare two files of `cytonet bench --format json`: exit code 3 where a row became slower", ["cytonet bench compare before.json after.json --fail-on 5%"])
      .argument("<before>", "file of the first bench")
      .argument("<after>", "file of the second")
      .option("--fail-on <share>", "by how much a row may be slower, as 5% or 0.05", share("--fail-on"), 0.05),
    // What both verbs know, the outer one takes, wherever it stands.
  ).action(async (before: string, after: string, _own: CompareFlags, command: Command) => {
    refuseOuter(command, ["format", "output", "force"]);
    await (await import("./verbs/bench.ts")).runCompare(before, after, command.optsWithGlobals<CompareFlags>());
  });

  withOutput(
    addVerb(bench, "model", "measure models: patches a second of inference and training, share of the device's roofs, memory", [
      "cytonet bench model --preset tiny --batch 64",
      "cytonet bench model --preset r50,vit-s --patch 224,512 --batch 8,32 --dtype f16 --format csv",
    ])
      .option("--preset <names>", "models, with commas between them: tiny, vit-tiny, r50, vit-s, vit-b, hybrid, rfb (default: tiny,vit-tiny)", listOf("--preset"))
      .option("--patch <px>", "sides of the patches, with commas between them (default: 64)", wholeNumbers("--patch"))
      .option("--batch <n>", "patches of an inference and of a step, with commas between them (default: 64); halved where they find no memory", wholeNumbers("--batch"))
      .option("--mode <mode>", "infer or train (default: both)", oneOf("--mode", ["infer", "train"])),
    // What both verbs know, the outer one takes, wherever it stands.
  ).action(async (_own: BenchModelFlags, command: Command) => {
    refuseOuter(command, ["format", "output", "force", "adapter", "set", "dtype", "rounds", "seconds"]);
    await (await import("./verbs/bench-model.ts")).runBenchModel(command.optsWithGlobals<BenchModelFlags>());
  });

  withOutput(
    withAdapter(
      addVerb(program, "kernel", "explain a kernel, render its WGSL, or judge its template at every save", [
        "cytonet kernel matmul",
        "cytonet kernel matmul --variant tile64 --flags bias,gelu --dump",
        "cytonet kernel matmul --variant register --set ROWS=4 --explain",
        "cytonet kernel softmax --variant lanes --watch",
      ])
        .argument("<name>", "the kernel's name")
        .option("--explain", "registers, workgroup memory, bytes and operations, bound, constants, variants that run here (the default)")
        .option("--dump", "the WGSL as the compiler gets it")
        .option("--watch", "at each save of the template: lint, a few checks, and its time against that at the start")
        .option("--variant <name>", "the variant (default: the device's own choice)")
        .option("--dtype <f32|f16>", "its element type (default: f32)", oneOf("--dtype", ["f32", "f16"]))
        .option("--flags <names>", "flags that are on, with commas between them (default: those of the case)")
        .option("--case <name>", "the case whose sizes are taken (default: the first that benches know)")
        .option("--size <name=n>", "another size than the case's; may be repeated", collect)
        .option("--set <NAME=n>", "another constant than the template's, such as TILE=64; may be repeated", collect)
        .option("--file <file>", "the template to read (default: kernels/<family>/<name>.<variant>.wgsl of the checkout)"),
    ),
  ).action(async (name: string, flags: KernelFlags) => (await import("./verbs/kernel.ts")).runKernel(name, flags));

  withOutput(
    withAdapter(
      addVerb(program, "profile", "show where the time of a training step or of an inference goes, kernel by kernel, with trace and roofline", [
        "cytonet profile train --preset tiny --batch 64",
        "cytonet profile embed --preset vit-tiny --batch 64 --by operation",
        "cytonet profile train brains --trace trace.json --html profile.html",
        "cytonet profile embed runs/first --batch 256 --format json",
      ])
        .argument("<what>", "train: an optimizer step; embed: an inference", oneOf("cytonet profile", ["train", "embed"]))
        .argument("[input]", "train: a dataset, or a run; embed: a run, or a model.safetensors (default: noise, and first weights)")
        .option("--preset <name>", "model: tiny, vit-tiny, r50, vit-s, vit-b, hybrid, rfb (default: tiny)")
        .option("--batch <n>", "patches of a step or of an inference", wholeNumber("--batch", 1), 64)
        .option("--patch <px>", "side of a patch (default: 64)", wholeNumber("--patch", 1))
        .option("--set <key=value>", "any other setting, see `cytonet --help settings`; may be repeated", collect)
        .option("--runs <n>", "runs to average", wholeNumber("--runs", 1), 10)
        .option("--by <what>", "rows: kernel, blueprint (with flags and constants) or operation (place in the model)", oneOf("--by", ["kernel", "blueprint", "operation"]), "kernel")
        .option("--trace <file>", "also write a trace for Perfetto or chrome://tracing: host, model and kernels on lanes of their own")
        .option("--html <file>", "also write a page with the roofline, complete in itself"),
    ),
  ).action(async (what: "train" | "embed", input: string | undefined, flags: ProfileFlags) => (await import("./verbs/profile.ts")).runProfile(what, input, flags));

  withFormat(
    withAdapter(
      addVerb(program, "demo", "generate three brains, train the tiny model on two, read areas off the third, and write a report", ["cytonet demo", "cytonet demo --adapter lavapipe --seed 2"])
        .option("--out <dir>", "folder to write to; what an earlier demo left there is replaced (default: runs/demo)")
        .option("--steps <n>", "optimizer steps (default: 300, on SwiftShader 150)", wholeNumber("--steps", 1))
        .option("--seed <n>", "seed of the brains and of training (default: 1)", wholeNumber("--seed", 0))
        .option("--sections <n>", "sections of each brain (default: 6)", wholeNumber("--sections", 1)),
    ),
  ).action(async (flags: DemoFlags) => (await import("./verbs/demo.ts")).runDemo(flags));

  addVerb(program, "completion", "print a script that completes cytonet's verbs and options in a shell", [
    "source <(cytonet completion bash)",
    "cytonet completion zsh > \"${fpath[1]}/_cytonet\"",
    "cytonet completion fish > ~/.config/fish/completions/cytonet.fish",
  ])
    .argument("<shell>", "bash, zsh or fish", oneOf("completion", ["bash", "zsh", "fish"]))
    .action(async (shell: "bash" | "zsh" | "fish") => {
      const { printCompletion } = await import("./completion.ts");
      process.stdout.write(printCompletion(program, shell));
    });
}
