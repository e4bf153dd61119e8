// Shared WGSL functions, by the name that `//#use` calls them.
import activation from "./activation.wgsl?raw";

export const libraries: Readonly<Record<string, string>> = { activation };
