// Types of the esbuild plugin, for the tests that use it too.
import type { Plugin } from "esbuild";

export declare const rawPlugin: Plugin;
