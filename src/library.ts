// What both entries of the library offer: everything that does not depend on where it runs.

export * from "./core.ts";
export { joinPath, type Entry, type Files } from "./files.ts";
export { createMemoryFiles } from "./host/files-memory.ts";
export { addToPanel } from "./engine/panel.ts";

// Checking, measuring and tuning both catalogues.
export { lintVariant } from "./workbench/bench.ts";
export { checkId, listChecks, runCheck, type CheckCase, type CheckResult } from "./engine/check.ts";
export { runConcurrently } from "./engine/concurrent.ts";
export { checkGradient } from "./ops/gradcheck.ts";
export type { GradientCase } from "./ops/gradient-case.ts";
export { GRADIENT_CASES } from "./ops/cases.ts";
export { profile, type ProfileOptions, type ProfileReport, type ProfileRow } from "./profile/profile.ts";
export { benchModels, columnsOf, type ModelBenchOptions, type ModelBenchReport, type ModelBenchRow } from "./profile/model-bench.ts";
export { createEmbeddingSubject, createTrainingSubject, type Subject } from "./profile/subjects.ts";
export { toTrace, type TraceDocument } from "./profile/trace.ts";
export { renderProfile } from "./profile/page.ts";
export { benchKernels, type BenchOptions, type BenchReport, type BenchRow } from "./bench/bench.ts";
export { compareReports, readReport, type BenchComparison } from "./bench/compare.ts";
export { parseSweep, type Sweep } from "./bench/sweep.ts";
export { createMeasurer, type Measurer, type TuneProblem } from "./tune/measure.ts";
export { SHIPPED as shippedTuning } from "./tune/shipped.ts";
export { addToStore, readStore } from "./tune/store.ts";
export { tune, type TuneOptions, type TuneReport } from "./tune/tune.ts";

// The model: configuration, presets, training, embedding.
export { flattenSettings, resolveConfig, type TrainConfig } from "./model/config.ts";
export { chooseDemoSteps, DEMO_SETTINGS } from "./model/demo.ts";
export { encode, encodeWithMaps, findPreset, presetOf, PRESETS, project, type Architecture, type ModelSettings, type Preset } from "./model/presets.ts";
export { countModel, type CountOptions, type ModelCount } from "./model/count.ts";
export { describeModel, type ModelSpec, type Parameters } from "./model/parameters.ts";
export type { AttentionMaps, Encoder, Features, Mode } from "./model/encoder.ts";
export { train, type Progress, type TrainOptions, type TrainResult } from "./model/trainer.ts";
export { buildTrainingStep, type StepMetrics, type TrainingStep } from "./model/training.ts";
export { createEmbedder, embedDataset, embedImage, type Embedder, type EmbedOptions } from "./model/embed.ts";
export { decodeWeights, encodeWeights, readWeights, writeWeights, type Weights } from "./model/weights.ts";
export { openWeights, recogniseWeights, type OpenedWeights } from "./model/open-weights.ts";
export { adoptWeights, type AdoptReport } from "./model/adopt.ts";
export { toStateDict } from "./model/state-dict.ts";
export { exportOnnx, type OnnxOptions } from "./model/onnx-export.ts";
export { readContents, type Contents } from "./model/contents.ts";
export { verify, type Verdict } from "./model/verify.ts";
export { writeCard } from "./model/card.ts";
export { readRun, RUN_FILES } from "./model/run.ts";

// Data: datasets and images, and the files that weights and features are kept in.
export * from "./data/index.ts";
export { chooseEmbeddingsFormat, encodeEmbeddings, type Embeddings, type EmbeddingsFormat } from "./data/embeddings.ts";
export { readNpy, writeNpy } from "./data/npy.ts";
export { readOnnx, type OnnxModel } from "./data/onnx.ts";
export { readSafetensors, writeSafetensors, type Safetensors } from "./data/safetensors.ts";
export { loadFloat32, storeFloat32, type StoredTensor } from "./data/tensors.ts";

// Phantoms: generated brains of which everything is known.
export { generateDataset, generateSections } from "./phantom/phantom.ts";
export { PHANTOM_BRAINS, PHANTOM_SIZES, type PhantomOptions, type PhantomShape, type PhantomSize } from "./phantom/options.ts";
export { PHANTOM_AREAS, PHANTOM_LAYERS } from "./phantom/areas.ts";
export { PHANTOM_VALUES } from "./phantom/samples.ts";

// Looking at features.
export { colourScores, principalComponents, type Components } from "./analysis/pca.ts";
export { drawFeatureMap, type Overlay } from "./analysis/feature-map.ts";
export { writeFeatureMaps, writeMaps } from "./analysis/maps.ts";

// Measuring features: the probe and what it is made of.
export { PROBE_DEFAULTS, PROBE_SCHEMA, probe, type LinearReport, type MethodReport, type NeighboursReport, type ProbeOptions, type ProbeReport, type ProbeResult } from "./analysis/probe.ts";
export { openTrained, type Trained } from "./analysis/trained.ts";
export { type Estimate } from "./analysis/bootstrap.ts";
export { fitLinearProbe, foldGroups, type Folds, type LinearProbe } from "./analysis/linear-probe.ts";
export { fitLogistic, predictLogistic, type LogisticModel } from "./analysis/logistic.ts";
export type { LabelledRows } from "./model/neighbours.ts";
export { countConfusion, scoreClasses, scoreConfusion, scorePredictions, type ClassScores, type Scores } from "./model/scores.ts";
export { clusterByKMeans, type KMeans, type KMeansOptions } from "./analysis/kmeans.ts";
export { comparePartitions, type Agreement } from "./analysis/agreement.ts";

// The demonstration, and its report.
export { runStory, STAGES, type Stage, type Story, type StoryOptions } from "./story/story.ts";
export { summariseStory } from "./story/summary.ts";
export { renderReport, type ReportOptions } from "./report/report.ts";
