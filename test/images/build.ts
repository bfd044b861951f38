/**
 * Executes a Dockerfile without a container engine: its RUN and COPY steps in folders that stand for the stages' root
 * file systems. What base images bring is not there; RUN finds this machine's tools and the given Node.
 */
import { cpSync, lstatSync, mkdirSync, rmSync } from "node:fs";
import path from "node:path";
import { runProgram } from "../infrastructure/cloud-init-tool.ts";
import { expand, type Instruction, type Stage } from "./dockerfile.ts";

/** What an image is besides its files. */
export interface ImageConfiguration {
  base: string;
  user: string;
  workingDirectory: string;
  environment: Record<string, string>;
  labels: Record<string, string>;
  entrypoint: readonly string[];
  command: readonly string[];
}

export interface Image {
  /** The files that its own layers add, below this folder. */
  root: string;
  configuration: ImageConfiguration;
}

export interface BuildArguments {
  stages: readonly Stage[];
  /** The build's context: files below `root`. */
  context: { root: string; files: readonly string[] };
  /** `--build-arg`. */
  values: Readonly<Record<string, string>>;
  /** Stages are folders below it. Steps that an earlier build in it made alike are not repeated. */
  directory: string;
  /** Folder with `node`, first in RUN's PATH. */
  nodeFolder: string;
}

/** Long on a loaded machine: packages are fetched. */
const runDeadlineMs = 180_000;

/** The stages of one build while it goes on. */
class StageBuild {
  root: string;
  readonly variables: Record<string, string> = {};
  readonly configuration: ImageConfiguration;
  readonly #args: BuildArguments;
  readonly #others: ReadonlyMap<string, StageBuild>;

  constructor(root: string, base: string, args: BuildArguments, others: ReadonlyMap<string, StageBuild>) {
    this.root = root;
    this.#args = args;
    this.#others = others;
    const empty = { environment: {}, labels: {}, entrypoint: [], command: [] };
    this.configuration = { base, user: "", workingDirectory: "/", ...empty };
  }

  /** Where a path inside the image is on this machine. */
  place(inside: string): string {
    return path.join(this.root, path.resolve("/", this.configuration.workingDirectory, inside));
  }

  async execute({ keyword, text, words, pairs, from }: Instruction): Promise<void> {
    const { configuration, variables } = this;
    const expanded = () =>
      Object.fromEntries(pairs.map(([name, value]) => [name, expand(value ?? "", variables)]));
    switch (keyword) {
      case "ARG":
        for (const [name, value] of pairs) {
          const given = this.#args.values[name] ?? value;
          if (given !== undefined) variables[name] = given;
        }
        return;
      case "ENV":
        Object.assign(configuration.environment, expanded());
        Object.assign(variables, configuration.environment);
        return;
      case "LABEL":
        Object.assign(configuration.labels, expanded());
        return;
      case "WORKDIR":
        configuration.workingDirectory = path.resolve("/", configuration.workingDirectory, text);
        mkdirSync(this.place("."), { recursive: true });
        return;
      case "USER":
        configuration.user = text;
        return;
      case "ENTRYPOINT":
        configuration.entrypoint = words;
        return;
      case "CMD":
        configuration.command = words;
        return;
      case "EXPOSE":
        return;
      case "COPY":
        return this.#copy(words, from);
      case "RUN":
        return this.#run(text);
      default:
        throw new Error(`${keyword} is not understood here: teach test/images/build.ts what it does`);
    }
  }

  #copy(words: readonly string[], from: string | undefined): void {
    const goal = words.at(-1) ?? "";
    for (const source of words.slice(0, -1)) {
      if (from !== undefined) {
        const stage = this.#others.get(from);
        if (stage === undefined) throw new Error(`COPY --from=${from}: no stage has that name`);
        this.#place(path.join(stage.root, source), source, goal, words.length > 2);
        continue;
      }
      const { root, files } = this.#args.context;
      const whole = path.normalize(source).replace(/\/$/, "");
      const chosen = files.filter((file) => file === whole || file.startsWith(`${whole}/`));
      if (chosen.length === 0) throw new Error(`COPY ${source}: .dockerignore leaves nothing of it`);
      for (const file of chosen) {
        // A folder's content is copied, not the folder.
        const to = file === whole ? goal : path.join(goal, path.relative(whole, file));
        this.#place(path.join(root, file), file, to, file === whole && words.length > 2);
      }
    }
  }

  #place(file: string, name: string, goal: string, several: boolean): void {
    const isFolder = lstatSync(file).isDirectory();
    const into = !isFolder && (several || goal.endsWith("/") || goal === ".");
    const to = into ? path.join(this.place(goal), path.basename(name)) : this.place(goal);
    mkdirSync(path.dirname(to), { recursive: true });
    cpSync(file, to, { recursive: true, preserveTimestamps: true });
  }

  async #run(command: string): Promise<void> {
    const { code, output } = await runProgram("sh", ["-c", command], {
      cwd: this.place("."),
      environment: {
        ...this.variables,
        PATH: `${this.#args.nodeFolder}:${process.env["PATH"] ?? ""}`,
        NODE_OPTIONS: "",
      },
      deadlineMs: runDeadlineMs,
    });
    if (code !== 0) throw new Error(`RUN ${command}\nended with ${code}:\n${output}`);
  }
}

/** The steps before the first one that differs between builds with other values. */
function commonSteps({ instructions }: Stage, values: BuildArguments["values"]): number {
  const first = instructions.findIndex(
    ({ keyword, pairs }) => keyword === "ARG" && pairs.some(([name]) => values[name] !== undefined),
  );
  return first === -1 ? instructions.length : first;
}

/** Builds the images of several values, one after the other; the steps before the values' first ARG run once. */
export async function buildImages(
  args: Omit<BuildArguments, "values">,
  builds: readonly Readonly<Record<string, string>>[],
): Promise<Image[]> {
  const layers = new Map<Stage, string>();
  const images: Image[] = [];
  for (const [number, values] of builds.entries()) {
    const done = new Map<string, StageBuild>();
    let image: Image | undefined;
    for (const [order, stage] of args.stages.entries()) {
      const root = path.join(args.directory, `${number}-${stage.name ?? order}`);
      rmSync(root, { recursive: true, force: true });
      mkdirSync(root, { recursive: true });
      const building = new StageBuild(root, stage.base, { ...args, values }, done);
      const common = commonSteps(stage, values);
      const layer = layers.get(stage);
      if (layer !== undefined) {
        // Hard links: a step that changes a file in place would change it for all, and npm and the bundler replace files.
        const copied = await runProgram("cp", ["-a", "--link", `${layer}/.`, root]);
        if (copied.code !== 0) throw new Error(copied.output);
      }
      for (const [index, instruction] of stage.instructions.entries()) {
        const changesFiles = ["RUN", "COPY"].includes(instruction.keyword);
        if (index < common && layer !== undefined && changesFiles) continue;
        if (index === common && layer === undefined && common > 0) {
          const kept = path.join(args.directory, `common-${stage.name ?? order}`);
          rmSync(kept, { recursive: true, force: true });
          const copied = await runProgram("cp", ["-a", "--link", root, kept]);
          if (copied.code !== 0) throw new Error(copied.output);
          layers.set(stage, kept);
        }
        await building.execute(instruction);
      }
      if (stage.name !== undefined) done.set(stage.name, building);
      image = { root: building.root, configuration: building.configuration };
    }
    if (image === undefined) throw new Error("the Dockerfile has no stage");
    images.push(image);
  }
  return images;
}
