// Completion scripts for shells, made from the command line's own declaration.
import type { Command, Option } from "commander";
import { TOPICS } from "./help.ts";
import { FORMATS } from "./arguments.ts";

/** Words that an option takes, where there are few. */
const VALUES: Readonly<Record<string, readonly string[]>> = {
  "--format": FORMATS,
  "--dtype": ["f32", "f16"],
  "--units": ["px", "um"],
  "--z-units": ["um", "mm"],
  "--preset": ["tiny", "vit-tiny"],
  "--space-by": ["section", "brain"],
};

interface Verb {
  readonly name: string;
  readonly description: string;
  readonly options: readonly { readonly flag: string; readonly description: string; readonly takesValue: boolean }[];
}

function listVerbs(program: Command): Verb[] {
  const describe = (options: readonly Option[]) =>
    options.map(({ long, description, required }) => ({ flag: long ?? "", description, takesValue: required }));
  return program.commands.map((command) => ({
    name: command.name(),
    description: command.description(),
    options: [...describe(command.options), ...describe(program.options), { flag: "--help", description: "show help", takesValue: false }],
  }));
}

/** The script for a shell, to be sourced or put where the shell looks for completions. */
export function printCompletion(program: Command, shell: "bash" | "zsh" | "fish"): string {
  const verbs = listVerbs(program);
  return { bash: printBash, zsh: printZsh, fish: printFish }[shell](verbs);
}

function printBash(verbs: readonly Verb[]): string {
  const cases = verbs.filter(({ name }) => name !== "completion").map(({ name, options }) => `    ${name}) words="${options.map(({ flag }) => flag).join(" ")}" ;;`);
  const values = Object.entries(VALUES).map(([flag, words]) => `    ${flag}) COMPREPLY=($(compgen -W "${words.join(" ")}" -- "$word")); return ;;`);
  return `# bash completion for cytonet
_cytonet() {
  local word="\${COMP_WORDS[COMP_CWORD]}" before="\${COMP_WORDS[COMP_CWORD-1]}" words=""
  COMPREPLY=()
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W "${verbs.map(({ name }) => name).join(" ")} --help --version --debug" -- "$word"))
    return
  fi
  case "$before" in
${values.join("\n")}
  esac
  case "\${COMP_WORDS[1]}" in
${cases.join("\n")}
    --help|help) COMPREPLY=($(compgen -W "${[...verbs.map(({ name }) => name), ...Object.keys(TOPICS)].join(" ")}" -- "$word")); return ;;
    completion) COMPREPLY=($(compgen -W "bash zsh fish" -- "$word")); return ;;
  esac
  case "$word" in
    -*) COMPREPLY=($(compgen -W "$words" -- "$word")) ;;
    *) COMPREPLY=($(compgen -f -- "$word")) ;;
  esac
}
complete -o filenames -F _cytonet cytonet
`;
}

function printZsh(verbs: readonly Verb[]): string {
  const quote = (text: string) => text.replaceAll("'", "'\\''").replace(/[[\]:]/g, "\\$&");
  const one = ({ flag, description, takesValue }: Verb["options"][number]) => {
    const words = VALUES[flag];
    return `'${flag}[${quote(description)}]${takesValue ? `:value:${words ? `(${words.join(" ")})` : "_files"}` : ""}'`;
  };
  return `#compdef cytonet
_cytonet() {
  local -a verbs
  verbs=(
${verbs.map(({ name, description }) => `    '${name}:${quote(description)}'`).join("\n")}
  )
  if (( CURRENT == 2 )); then
    _describe 'verb' verbs
    return
  fi
  case "$words[2]" in
${verbs.map(({ name, options }) => `    ${name}) _arguments ${options.map(one).join(" ")} '*:file:_files' ;;`).join("\n")}
  esac
}
_cytonet "$@"
`;
}

function printFish(verbs: readonly Verb[]): string {
  const quote = (text: string) => `'${text.replaceAll("\\", "\\\\").replaceAll("'", "\\'")}'`;
  const lines = verbs.flatMap(({ name, description, options }) => [
    `complete -c cytonet -n __fish_use_subcommand -f -a ${name} -d ${quote(description)}`,
    ...options.map(({ flag, description: text, takesValue }) => {
      const words = VALUES[flag];
      const value = takesValue ? (words ? ` -x -a ${quote(words.join(" "))}` : " -r") : "";
      return `complete -c cytonet -n '__fish_seen_subcommand_from ${name}' -l ${flag.slice(2)} -d ${quote(text)}${value}`;
    }),
  ]);
  return `# fish completion for cytonet\n${lines.join("\n")}\n`;
}
