// The page's script: says which adapter the browser offers.
import { VERSION } from "../src/version.ts";

document.title = `cytonet ${VERSION}`;
