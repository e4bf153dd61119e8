// The data layer's face: what other layers and the library take from src/data.
export { type Brain, type Dataset, type Labels, type Manifest, type Samples, type Section, type SectionTransform, type Values, DATASET_SCHEMA, transformPoint } from "./dataset.ts";
export { readDataset, type ReadOptions } from "./read-dataset.ts";
export { writeDataset, type DatasetParts, type SampleRow, type WriteOptions } from "./write-dataset.ts";
export { importDataset } from "./import-dataset.ts";
export type { ImportOptions } from "./import-options.ts";
export { openImage, type ImageGridOptions } from "./image-dataset.ts";
export { decodeImage, inspectImage } from "./decode.ts";
export { encodePng } from "./png.ts";
export { intensityTable, MAX_IMAGE_PIXELS, toGrey, type Image, type ImageHeader } from "./image.ts";
export { cropWindows, loadSections, windowSize, DEFAULT_CACHE_BYTES, type Plane, type SectionCache, type WindowOptions } from "./sections.ts";
export { createSampler, selectMembers, type Batch, type Sampler, type SamplerOptions } from "./sampler.ts";
