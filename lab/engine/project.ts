/** The project file `Pulumi.yaml`, as far as running a Node.js program needs it. */
import { readFile, stat } from "node:fs/promises";
import path from "node:path";
import { parse } from "yaml";
import { z } from "zod";
import { ConfigurationError, messageOf } from "./errors.ts";

const schema = z.object({
  name: z.string().regex(/^[\w.-]+$/),
  main: z.string().optional(),
  runtime: z.union([
    z.literal("nodejs"),
    z.object({
      name: z.literal("nodejs"),
      options: z.object({ nodeargs: z.string().optional(), typescript: z.boolean().optional() }).optional(),
    }),
  ]),
});

/** Where the program is and how Node.js is to be called. */
export interface Project {
  name: string;
  /** Folder of `Pulumi.yaml`. */
  root: string;
  /** Folder of the main file; the program and the providers run here, as with the Pulumi CLI. */
  workingDirectory: string;
  /** The main file below `workingDirectory`, or `.`. */
  entry: string;
  nodeArguments: string[];
}

/**
 * Reads `<directory>/Pulumi.yaml`.
 * @throws ConfigurationError with every mistake
 */
export async function readProject(directory: string): Promise<Project> {
  const root = path.resolve(directory);
  const file = path.join(root, "Pulumi.yaml");
  let document: unknown;
  try {
    document = parse(await readFile(file, "utf8"));
  } catch (error) {
    throw new ConfigurationError(file, [messageOf(error)]);
  }
  const parsed = schema.safeParse(document);
  if (!parsed.success) {
    throw new ConfigurationError(
      file,
      parsed.error.issues.map((issue) => `${issue.path.join(".") || "(file)"}: ${issue.message}`),
    );
  }
  const { name, main, runtime } = parsed.data;
  const options = typeof runtime === "string" ? undefined : runtime.options;
  if (options?.typescript !== false) {
    throw new ConfigurationError(file, [
      'runtime.options.typescript: must be false (with nodeargs: "--import tsx"); the lab engine does not start ts-node',
    ]);
  }
  let workingDirectory = root;
  let entry = ".";
  if (main !== undefined) {
    const target = path.resolve(root, main);
    const isDirectory = await stat(target).then(
      (found) => found.isDirectory(),
      () => undefined,
    );
    if (isDirectory === undefined) throw new ConfigurationError(file, [`main: ${target} does not exist`]);
    workingDirectory = isDirectory ? target : path.dirname(target);
    entry = isDirectory ? "." : path.basename(target);
  }
  return {
    name,
    root,
    workingDirectory,
    entry,
    nodeArguments: (options.nodeargs ?? "").split(/\s+/).filter(Boolean),
  };
}
