// WGSL files imported as text: `import source from "./x.wgsl?raw"`; bundlers and Vitest inline them, bare Node never sees them.

declare module "*.wgsl?raw" {
  const source: string;
  export default source;
}

declare module "*.json?raw" {
  const text: string;
  export default text;
}
