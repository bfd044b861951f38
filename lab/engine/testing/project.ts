/** A throwaway Pulumi project for a test, inside the repository so that its imports resolve. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import type { EngineEvent, EngineOptions } from "../index.ts";

const repository = fileURLToPath(new URL("../../..", import.meta.url));
const base = path.join(repository, ".lab", "engine-tests");

/** A project folder and what the engine said while it ran. */
export interface TestProject {
  directory: string;
  stateFile: string;
  events: EngineEvent[];
  /** Options for `up` and `destroy`. */
  options: EngineOptions;
  /** Replaces the program. */
  write(program: string): void;
  /** Makes an empty file in the project's folder. */
  touch(file: string): void;
  remove(): void;
}

/**
 * @param program TypeScript source of `index.ts`; `pulumi` is imported already
 * @param given overrides of the options
 */
export function createProject(program: string, given: Partial<EngineOptions> = {}): TestProject {
  mkdirSync(base, { recursive: true });
  const directory = mkdtempSync(path.join(base, "project-"));
  const events: EngineEvent[] = [];
  const write = (source: string): void => {
    writeFileSync(path.join(directory, "index.ts"), `import * as pulumi from "@pulumi/pulumi";\n${source}`);
  };
  writeFileSync(
    path.join(directory, "package.json"),
    JSON.stringify({ name: "test", type: "module", main: "index.ts" }),
  );
  writeFileSync(
    path.join(directory, "Pulumi.yaml"),
    "name: test\nruntime:\n  name: nodejs\n  options:\n    typescript: false\n    nodeargs: --import tsx\n",
  );
  write(program);
  const stateFile = path.join(directory, "state.json");
  return {
    directory,
    stateFile,
    events,
    write,
    options: {
      projectDirectory: directory,
      stack: "dev",
      config: {},
      secretKeys: [],
      stateFile,
      passphrase: "correct horse",
      onEvent: (event) => void events.push(event),
      ...given,
    },
    touch: (file) => writeFileSync(path.join(directory, file), ""),
    remove: () => rmSync(directory, { recursive: true, force: true }),
  };
}
