/** A Dockerfile as the check of the images needs it: its stages, their instructions, and which files are sent to it. */
import { Copy, DockerfileParser, From, JSONInstruction, PropertyInstruction } from "dockerfile-ast";
import { readdirSync } from "node:fs";
import path from "node:path";

/** One instruction of a stage. */
export interface Instruction {
  /** In capitals, `COPY`. */
  keyword: string;
  /** Everything after keyword and options, on one line. */
  text: string;
  /** The words of {@link text}; of the JSON form its strings. */
  words: readonly string[];
  /** `NAME=value` pairs of ARG, ENV and LABEL; the value is absent in `ARG NAME`. */
  pairs: readonly (readonly [name: string, value: string | undefined])[];
  /** `COPY --from`. */
  from?: string;
}

/** A stage. */
export interface Stage {
  /** After `AS`; absent in the last one. */
  name?: string;
  /** The image that it begins with. */
  base: string;
  instructions: readonly Instruction[];
}

/** @throws Error for instructions before the first FROM */
export function readDockerfile(text: string): Stage[] {
  const stages: (Stage & { instructions: Instruction[] })[] = [];
  for (const instruction of DockerfileParser.parse(text).getInstructions()) {
    if (instruction instanceof From) {
      const name = instruction.getBuildStage();
      const base = instruction.getImage() ?? "";
      stages.push({ ...(name === null ? {} : { name }), base, instructions: [] });
      continue;
    }
    const stage = stages.at(-1);
    if (stage === undefined) throw new Error(`${instruction.getKeyword()} stands before the first FROM`);
    const json = instruction instanceof JSONInstruction ? instruction.getJSONStrings() : [];
    const words =
      json.length > 0
        ? json.map((word) => word.getJSONValue())
        : instruction.getArguments().map((word) => word.getValue());
    const properties = instruction instanceof PropertyInstruction ? instruction.getProperties() : [];
    const from = instruction instanceof Copy ? instruction.getFromFlag()?.getValue() : undefined;
    stage.instructions.push({
      keyword: instruction.getKeyword(),
      text: instruction.getArgumentsContent() ?? "",
      words,
      pairs: properties.map((property) => [property.getName(), property.getValue() ?? undefined] as const),
      ...(from == null ? {} : { from }),
    });
  }
  return stages;
}

/** The value with the variables in it: `$NAME` and `${NAME}`. */
export function expand(value: string, variables: Readonly<Record<string, string>>): string {
  return value.replace(/\$(?:\{(\w+)\}|(\w+))/g, (_written, braced?: string, bare?: string) => {
    return variables[braced ?? bare ?? ""] ?? "";
  });
}

/** One line of a .dockerignore; `**` stands for any number of folders, `*` for anything but a slash. */
function pattern(line: string): RegExp {
  const escaped = line
    .replace(/^\/|\/$/g, "")
    .split(/(\*\*\/|\*\*|\*|\?)/)
    .map((part) => {
      const wild: Record<string, string> = { "**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]" };
      return wild[part] ?? part.replace(/[.+^${}()|[\]\\]/g, "\\$&");
    });
  return new RegExp(`^${escaped.join("")}(?:/|$)`);
}

/**
 * The files that a builder is sent: those that .dockerignore does not leave out. The last line that fits decides.
 * @param folders looked into besides the root's own files; the others are too large to be read for nothing.
 */
export function contextFiles(root: string, ignore: string, folders: readonly string[]): string[] {
  const rules = ignore
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "" && !line.startsWith("#"))
    .map((line) => ({ keeps: line.startsWith("!"), fits: pattern(line.replace(/^!/, "")) }));
  const kept = (file: string) => rules.filter(({ fits }) => fits.test(file)).at(-1)?.keeps ?? true;
  return readdirSync(root, { withFileTypes: true })
    .flatMap((entry) => {
      if (!entry.isDirectory()) return [entry.name];
      if (!folders.includes(entry.name)) return [];
      return readdirSync(path.join(root, entry.name), { recursive: true, withFileTypes: true })
        .filter((file) => file.isFile())
        .map((file) => path.relative(root, path.join(file.parentPath, file.name)));
    })
    .filter(kept)
    .sort();
}
