/**
 * A program that the lab starts again and again, and the Pulumi program with it, each bundled into one file: compiling
 * TypeScript anew in each process would take longer than what it does. The code is the same; packages stay outside.
 */
import { build, type Plugin } from "esbuild";
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { readFile } from "node:fs/promises";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { parse, stringify } from "yaml";
import { labDirectories, projectDirectory } from "./directories.ts";

/** Bundled programs. Remove them when done. */
export interface Bundle {
  /** The given program. */
  child: string;
  /** A folder like the project's, but its Pulumi program is bundled, too. */
  projectDirectory: string;
  remove(): void;
}

/** Modules go on to find files beside themselves. */
const ownUrls: Plugin = {
  name: "own-urls",
  setup: (bundling) => {
    bundling.onLoad({ filter: /\.ts$/ }, async ({ path: file }) => {
      const text = await readFile(file, "utf8");
      const url = JSON.stringify(pathToFileURL(file).href);
      return { contents: text.replaceAll("import.meta.url", url), loader: "ts" };
    });
  },
};

/**
 * Bundles both.
 * @param entry the program's file
 * @throws esbuild's BuildFailure
 */
export async function bundleProgram(entry: string): Promise<Bundle> {
  // Below the project's folder, where packages are found.
  mkdirSync(labDirectories.root, { recursive: true });
  const directory = mkdtempSync(path.join(labDirectories.root, "bundle-"));
  const remove = (): void => rmSync(directory, { recursive: true, force: true });
  process.once("exit", remove);
  const [child, program] = ["child.mjs", "program.mjs"].map((name) => path.join(directory, name)) as [
    string,
    string,
  ];
  const entries = { [child]: entry, [program]: path.join(projectDirectory, "stacks/index.ts") };
  await Promise.all(
    Object.entries(entries).map(([outfile, entryPoint]) =>
      build({
        entryPoints: [entryPoint],
        outfile,
        bundle: true,
        platform: "node",
        format: "esm",
        target: "node20",
        packages: "external",
        plugins: [ownUrls],
        logLevel: "silent",
      }),
    ),
  );
  const own = new Set(["Pulumi.yaml", ".git", ".lab"]);
  for (const name of readdirSync(projectDirectory)) {
    if (!own.has(name)) symlinkSync(path.join(projectDirectory, name), path.join(directory, name));
  }
  const project = parse(readFileSync(path.join(projectDirectory, "Pulumi.yaml"), "utf8")) as object;
  writeFileSync(
    path.join(directory, "Pulumi.yaml"),
    stringify({
      ...project,
      main: "program.mjs",
      runtime: { name: "nodejs", options: { typescript: false } },
    }),
  );
  return { child, projectDirectory: directory, remove };
}
