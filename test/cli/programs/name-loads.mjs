// For `node --import`: names every module that is loaded on stderr, as `loaded URL`.
import { register } from "node:module";

const hook = `
export async function load(url, context, next) {
  process._rawDebug("loaded " + url);
  return next(url, context);
}`;
register(`data:text/javascript,${encodeURIComponent(hook)}`);
