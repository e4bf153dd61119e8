// Errors of Node's file system, told to people: which path, what happened, what to do, and the exit code.
import { EXIT_CODES, UserError, type ExitCode } from "../errors.ts";

type Verb = "read" | "write" | "cut" | "make folder" | "rename" | "remove" | "lock";

interface Explanation {
  readonly exitCode: ExitCode;
  readonly what: string;
  readonly remedy: string;
}

const { cannotCreate, inputMissing, io } = EXIT_CODES;

const WHEN_READING: Record<string, Explanation> = {
  ENOENT: { exitCode: inputMissing, what: "there is no such file or folder", remedy: "check the path" },
  ENOTDIR: { exitCode: inputMissing, what: "a part of the path is a file, expected a folder", remedy: "check the path" },
  EISDIR: { exitCode: inputMissing, what: "got a folder, expected a file", remedy: "check the path" },
  EACCES: { exitCode: inputMissing, what: "reading is not permitted", remedy: "change its permissions" },
  EPERM: { exitCode: inputMissing, what: "reading is not permitted", remedy: "change its permissions" },
};

const WHEN_WRITING: Record<string, Explanation> = {
  ENOENT: { exitCode: cannotCreate, what: "its folder does not exist", remedy: "make the folder or choose another" },
  ENOTDIR: { exitCode: cannotCreate, what: "a part of the path is a file, expected a folder", remedy: "choose another path" },
  EISDIR: { exitCode: cannotCreate, what: "a folder is in the way", remedy: "choose another path" },
  EEXIST: { exitCode: cannotCreate, what: "something of that name is in the way", remedy: "choose another path" },
  ENOTEMPTY: { exitCode: cannotCreate, what: "a folder that is not empty is in the way", remedy: "choose another path" },
  EACCES: { exitCode: cannotCreate, what: "writing is not permitted", remedy: "change the folder's permissions or choose another" },
  EPERM: { exitCode: cannotCreate, what: "writing is not permitted", remedy: "change the folder's permissions or choose another" },
  EROFS: { exitCode: cannotCreate, what: "the file system is read-only", remedy: "choose another folder" },
  ENAMETOOLONG: { exitCode: cannotCreate, what: "the name is too long", remedy: "choose a shorter one" },
  ELOOP: { exitCode: cannotCreate, what: "its links lead in a circle", remedy: "choose another path" },
  EXDEV: { exitCode: cannotCreate, what: "source and target lie on different file systems", remedy: "choose a target beside the source" },
};

const ALWAYS: Record<string, Explanation> = {
  ENOSPC: { exitCode: io, what: "the disk is full", remedy: "free some space or choose another disk" },
  EDQUOT: { exitCode: io, what: "the disk quota is used up", remedy: "free some space or choose another disk" },
  EFBIG: { exitCode: io, what: "the file would become larger than allowed here", remedy: "raise the limit (ulimit -f) or choose another disk" },
  EIO: { exitCode: io, what: "the disk failed", remedy: "check the disk" },
  EMFILE: { exitCode: io, what: "too many files are open", remedy: "raise the limit (ulimit -n)" },
};

/** Runs a file operation; what Node throws becomes a UserError that names the path. */
export async function explain<T>(verb: Verb, path: string, operation: () => Promise<T>): Promise<T> {
  try {
    return await operation();
  } catch (error) {
    if (error instanceof UserError) throw error;
    throw explainFileError(verb, path, error);
  }
}

/** The UserError for a failure of `verb` at `path`: 66 not readable, 73 cannot be created, 74 disk full or failing. */
export function explainFileError(verb: Verb, path: string, error: unknown): UserError {
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  // Renaming and cutting what is not there is a mistake about the input, not about the output.
  const missing = (verb === "rename" || verb === "cut") && code === "ENOENT";
  const table = verb === "read" || missing ? WHEN_READING : WHEN_WRITING;
  const known = ALWAYS[code] ?? table[code];
  const detail = error instanceof Error ? error.message : String(error);
  const { exitCode, what, remedy } = known ?? { exitCode: io, what: `the system says "${detail}"`, remedy: "check the disk" };
  return new UserError(exitCode, `${path}: cannot ${verb}: ${what}; ${remedy}`, [], { cause: error });
}
