// A small server for pages of our own: loopback only, GET and HEAD only, only what it was given or what lies in its folder.
import { createReadStream } from "node:fs";
import { realpath, stat } from "node:fs/promises";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { extname, join, sep } from "node:path";
import { EXIT_CODES, UserError } from "../errors.ts";

/** Types of the files that may be served; others are not. */
const TYPES: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".json": "application/json",
  ".map": "application/json",
  ".png": "image/png",
  ".jpg": "image/jpeg",
  ".svg": "image/svg+xml",
  ".csv": "text/csv; charset=utf-8",
  ".safetensors": "application/octet-stream",
};

/** Nothing from elsewhere, no inline script: what the page needs lies beside it. */
const POLICY = "default-src 'self'; img-src 'self' blob: data:; style-src 'self' 'unsafe-inline'; connect-src 'self' blob:; object-src 'none'; base-uri 'none'; form-action 'none'";

export interface ServerOptions {
  /** A folder whose files are served by their paths. */
  readonly folder?: string;
  /** Contents served by path ("/main.js"), before the folder is looked at. */
  readonly contents?: ReadonlyMap<string, string>;
  /** The port; by default any that is free. */
  readonly port?: number;
}

export interface RunningServer {
  /** Address of the top, ending in a slash: "http://127.0.0.1:40123/". */
  readonly address: string;
  close(): Promise<void>;
}

/** Serves on 127.0.0.1. Throws a UserError 69 where the port is taken. */
export async function serve(options: ServerOptions): Promise<RunningServer> {
  const root = options.folder === undefined ? undefined : await realpath(options.folder);
  const server = createServer((request, response) => void answer(request, response, options, root, portOf(server)));
  await new Promise<void>((done, fail) => {
    server.once("error", (error: NodeJS.ErrnoException) => {
      const what = error.code === "EADDRINUSE" ? "is taken" : `cannot be used (${error.message})`;
      fail(new UserError(EXIT_CODES.unavailable, `server: port ${options.port ?? 0} ${what}, expected a free one; choose another`, [], { cause: error }));
    });
    server.listen(options.port ?? 0, "127.0.0.1", done);
  });
  return {
    address: `http://127.0.0.1:${portOf(server)}/`,
    close: () =>
      new Promise((done) => {
        server.close(() => done());
        server.closeAllConnections();
      }),
  };
}

async function answer(request: IncomingMessage, response: ServerResponse, options: ServerOptions, root: string | undefined, port: number): Promise<void> {
  response.setHeader("X-Content-Type-Options", "nosniff");
  response.setHeader("Content-Security-Policy", POLICY);
  response.setHeader("Cache-Control", "no-store");
  const refuse = (status: number, why: string): void => void response.writeHead(status, { "Content-Type": "text/plain" }).end(`${why}\n`);
  // A page of another site could otherwise reach this server by a name that resolves to 127.0.0.1.
  if (request.headers.host !== `127.0.0.1:${port}` && request.headers.host !== `localhost:${port}`) return refuse(403, "wrong host");
  if (request.method !== "GET" && request.method !== "HEAD") return refuse(405, "only GET and HEAD");
  const path = decodePath(request.url ?? "/");
  const type = path === undefined ? undefined : TYPES[extname(path)];
  if (path === undefined || type === undefined) return refuse(404, "not found");
  const content = options.contents?.get(path);
  if (content !== undefined) {
    response.writeHead(200, { "Content-Type": type });
    return void response.end(request.method === "HEAD" ? undefined : content);
  }
  const file = root === undefined ? undefined : await findFile(root, path);
  if (file === undefined) return refuse(404, "not found");
  response.writeHead(200, { "Content-Type": type, "Content-Length": file.size });
  if (request.method === "HEAD") return void response.end();
  createReadStream(file.path).on("error", () => response.destroy()).pipe(response);
}

/** The path of a request, decoded once; a folder means its index.html. Undefined where it cannot be one. */
function decodePath(url: string): string | undefined {
  try {
    const path = decodeURIComponent(url.replace(/[?#].*$/s, ""));
    if (path.includes("\0") || path.includes("\\")) return undefined;
    return path.endsWith("/") ? `${path}index.html` : path;
  } catch {
    return undefined;
  }
}

/** The file for a path, only where its real place, links followed, lies in the folder. */
async function findFile(root: string, path: string): Promise<{ path: string; size: number } | undefined> {
  try {
    const real = await realpath(join(root, path));
    const found = await stat(real);
    return real.startsWith(root + sep) && found.isFile() ? { path: real, size: found.size } : undefined;
  } catch {
    return undefined;
  }
}

function portOf(server: Server): number {
  const address = server.address();
  return typeof address === "object" && address !== null ? address.port : 0;
}
