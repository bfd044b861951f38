/**
 * From the services' sources to the files of an image: every program becomes one JavaScript file, with what it shares
 * beside it, and whatever of npm's packages it uses is inside. Starting needs neither TypeScript nor `node_modules`;
 * `docs/images.md` has the figures.
 *
 * Usage: `node images/bundle.ts SERVICE FOLDER`, in the repository's root; FOLDER is written anew.
 */
import { build, type Metafile, type Plugin } from "esbuild";
import {
  cpSync,
  existsSync,
  lutimesSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { readFile } from "node:fs/promises";
import path from "node:path";
import type { Manifest } from "./packages.ts";
import { catalog } from "../services/catalog.ts";

/** A command for people, in every image: `kubectl exec` reaches it in whichever pod still runs. */
const killSwitch = "services/apps/kill-switch.ts";

/** Packages with compiled parts, which no file of JavaScript can hold. Another one makes esbuild refuse its `.node` file. */
const nativePackages = ["lz4-napi"];

/** Oldest Node that runs the result; the lab's, too. */
const target = "node20.19";

/** All entries lie this deep, and so do the files that they share: each finds the tree's root by it. */
const depth = 2;

export interface BundleArguments {
  /** The repository's root, with `node_modules`. */
  root: string;
  /** Names of the catalog's rows whose programs are wanted. */
  services: readonly string[];
  /** The tree's root; what is there is removed. */
  directory: string;
}

/** What was written. */
export interface Bundle {
  /** npm packages whose code is in the tree, with their versions. */
  packages: ReadonlyMap<string, string>;
}

/** The file of a program in the image, from its source: `services/apps/archiver.ts` is `services/apps/archiver.js`. */
function programOf(entry: string): string {
  return entry.replace(/\.ts$/, ".js");
}

/** The folder of the package that a file belongs to, below the root; undefined for our own files. */
function packageFolder(file: string): string | undefined {
  return /^(?:.*\/)?node_modules\/(?:@[^/]+\/)?[^/]+/.exec(file)?.[0];
}

/** Our modules go on to find files beside themselves, in the same places below the tree's root. */
function ownUrls(root: string): Plugin {
  return {
    name: "own-urls",
    setup: (bundling) =>
      bundling.onLoad({ filter: /\/services\/.*\.ts$/ }, async ({ path: file }) => {
        const program = JSON.stringify(programOf(path.relative(root, file)));
        const text = await readFile(file, "utf8");
        return {
          contents: text.replaceAll("import.meta.url", `new URL(${program}, applicationRoot).href`),
          loader: "ts",
        };
      }),
  };
}

/** Files that a program starts as threads: `<name>-worker.ts` beside a module that names it. */
function threadEntries(root: string, inputs: readonly string[]): string[] {
  return inputs.flatMap((input) => {
    const text = readFileSync(path.join(root, input), "utf8");
    return [...text.matchAll(/\b[a-z-]+-worker\b/g)]
      .map(([name]) => path.posix.join(path.posix.dirname(input), `${name}.ts`))
      .filter((entry) => existsSync(path.join(root, entry)));
  });
}

/** Bundles as if into `app` below the root, wherever the tree goes: names and maps depend on the sources only. */
async function bundle(root: string, entries: readonly string[], directory: string): Promise<Metafile> {
  const misplaced = entries.filter((entry) => entry.split("/").length !== depth + 1);
  if (misplaced.length > 0) throw new Error(`${misplaced.join(", ")}: expected services/<folder>/<file>.ts`);
  const outputs = path.join(root, "app");
  const { metafile, outputFiles } = await build({
    absWorkingDir: root,
    entryPoints: [...entries],
    outdir: outputs,
    outbase: ".",
    chunkNames: "services/shared/[name]-[hash]",
    bundle: true,
    splitting: true,
    write: false,
    platform: "node",
    format: "esm",
    target,
    external: nativePackages,
    sourcemap: "linked",
    sourcesContent: false,
    metafile: true,
    // Packages in the older module format ask for Node's own modules by `require`.
    banner: {
      js: [
        `import { createRequire } from "node:module";`,
        `const require = createRequire(import.meta.url);`,
        `const applicationRoot = new URL("${"../".repeat(depth)}", import.meta.url);`,
      ].join(" "),
    },
    plugins: [ownUrls(root)],
    logLevel: "silent",
  });
  for (const { path: output, text } of outputFiles) {
    const file = path.join(directory, path.relative(outputs, output));
    mkdirSync(path.dirname(file), { recursive: true });
    writeFileSync(
      file,
      file.endsWith(".map") ? placeSources(text, path.dirname(output), root, outputs) : text,
    );
  }
  return metafile;
}

/** Stacks name sources as if they lay in the tree as they lie in the repository. */
function placeSources(text: string, folder: string, root: string, outputs: string): string {
  const map = JSON.parse(text) as { sources: string[] };
  const sources = map.sources.map((source) =>
    path.relative(folder, path.join(outputs, path.relative(root, path.resolve(folder, source)))),
  );
  return JSON.stringify({ ...map, sources });
}

function readManifest(folder: string): Manifest & { optionalDependencies?: Record<string, string> } {
  return JSON.parse(readFileSync(path.join(folder, "package.json"), "utf8")) as Manifest;
}

/** Copies native packages as they are, with those of their parts that npm found right for this machine. */
function copyNative(root: string, directory: string): string[] {
  const folders = nativePackages.flatMap((name) => {
    const { optionalDependencies = {} } = readManifest(path.join(root, "node_modules", name));
    return [name, ...Object.keys(optionalDependencies)].map((part) => `node_modules/${part}`);
  });
  const found = folders.filter((folder) => existsSync(path.join(root, folder)));
  for (const folder of found) {
    cpSync(path.join(root, folder), path.join(directory, folder), {
      recursive: true,
      filter: (file) => !file.endsWith(".d.ts"),
    });
  }
  return found;
}

/** Licences and notices of the packages whose code was taken: `licenses/<package>@<version>/`. */
function copyLicenses(root: string, directory: string, folders: readonly string[]): Map<string, string> {
  const packages = new Map<string, string>();
  for (const folder of folders) {
    const source = path.join(root, folder);
    const { name, version, license = "see its files" } = readManifest(source);
    packages.set(name, version);
    const goal = path.join(directory, "licenses", `${name}@${version}`);
    mkdirSync(goal, { recursive: true });
    writeFileSync(path.join(goal, "package.txt"), `${name} ${version}\nLicense: ${license}\n`);
    for (const file of readdirSync(source).filter((file) => /^(licen[cs]e|copying|notice)/i.test(file)))
      cpSync(path.join(source, file), path.join(goal, file));
  }
  return packages;
}

/** One date for every file: the same sources give the same layer, whenever it is built. */
function setDates(folder: string): void {
  const date = Number(process.env["SOURCE_DATE_EPOCH"] ?? 0);
  for (const file of readdirSync(folder, { recursive: true, encoding: "utf8" }))
    lutimesSync(path.join(folder, file), date, date);
  lutimesSync(folder, date, date);
}

/**
 * Writes the tree: programs below `services/`, native packages, licences and a `package.json` whose `main` is the first
 * service.
 * @throws Error that names services which the catalog does not have; esbuild's BuildFailure.
 */
export async function bundleServices({ root, services, directory }: BundleArguments): Promise<Bundle> {
  const unknown = services.filter((name) => !catalog.some((service) => service.name === name));
  if (unknown.length > 0 || services.length === 0) {
    const known = catalog.map(({ name }) => name).join(", ");
    throw new Error(`"${unknown.join(", ")}" is not in services/catalog.ts, expected one of: ${known}`);
  }
  rmSync(directory, { recursive: true, force: true });
  const apps = catalog.filter(({ name }) => services.includes(name)).map(({ entry }) => entry);
  const probe = await build({
    absWorkingDir: root,
    entryPoints: [...apps],
    outdir: directory,
    bundle: true,
    write: false,
    platform: "node",
    format: "esm",
    packages: "external",
    metafile: true,
    logLevel: "silent",
  });
  const threads = threadEntries(root, Object.keys(probe.metafile.inputs));
  const entries = [...new Set([...apps, killSwitch, ...threads])];
  const metafile = await bundle(root, entries, directory);

  const used = Object.values(metafile.outputs).flatMap(({ inputs, imports }) => [
    ...Object.keys(inputs),
    ...imports.filter(({ external }) => external === true).map(({ path: name }) => `node_modules/${name}`),
  ]);
  const bundled = new Set(
    used.filter((file) => existsSync(path.join(root, file))).flatMap((file) => packageFolder(file) ?? []),
  );
  const native = copyNative(root, directory);
  const packages = copyLicenses(root, directory, [...new Set([...bundled, ...native])].sort());
  const { name, version, license } = readManifest(root);
  const [main = ""] = apps;
  const manifest = { name, version, license, type: "module", main: programOf(main) };
  const dependencies = Object.fromEntries([...packages].sort());
  writeFileSync(
    path.join(directory, "package.json"),
    `${JSON.stringify({ ...manifest, dependencies }, null, 2)}\n`,
  );
  setDates(directory);
  return { packages };
}

if (process.argv[1] !== undefined && path.resolve(process.argv[1]) === import.meta.filename) {
  const [service = "", directory = ""] = process.argv.slice(2);
  if (directory === "") throw new Error("expected: node images/bundle.ts SERVICE FOLDER");
  await bundleServices({ root: process.cwd(), services: [service], directory: path.resolve(directory) });
}
