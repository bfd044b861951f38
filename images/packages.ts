/**
 * Before anything is installed for an image: narrows `package.json` and `package-lock.json` to what services need at run
 * time and the bundler, so that neither Pulumi nor the lab's packages are fetched. Versions and checksums stay those of
 * the lock file, and `npm ci` holds them.
 *
 * Usage: `node images/packages.ts`, in the folder that holds both files; they are rewritten.
 */
import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";

/** What services import. One that is missing here fails the bundling, one too many fails `npm run check:images`. */
export const servicePackages = [
  "@aws-sdk/client-s3",
  "@hpcc-js/wasm-zstd",
  "decimal.js",
  "kafkajs",
  "lossless-json",
  "lz4-napi",
  "pino",
  "prom-client",
  "ws",
  "zod",
] as const;

/** What makes files out of them. */
const bundler = "esbuild";

/** A `package.json`, as far as it is read here. */
export interface Manifest {
  name: string;
  version: string;
  license?: string;
  type?: string;
  dependencies?: Record<string, string>;
  devDependencies?: Record<string, string>;
}

/** One package in a lock file of version 3. */
interface LockedPackage {
  version?: string;
  dependencies?: Record<string, string>;
  optionalDependencies?: Record<string, string>;
  peerDependencies?: Record<string, string>;
  dev?: boolean;
  devOptional?: boolean;
}

/** A `package-lock.json` of version 3. */
export interface LockFile {
  name: string;
  version: string;
  lockfileVersion: number;
  requires?: boolean;
  packages: Record<string, LockedPackage>;
}

/** Where `name` is found from the package at `from` (a key of the lock file), as Node looks for it. */
function locate(packages: LockFile["packages"], from: string, name: string): string | undefined {
  for (
    let folder = from;
    folder !== "";
    folder = folder.slice(0, Math.max(0, folder.lastIndexOf("/node_modules/")))
  ) {
    const nested = `${folder}/node_modules/${name}`;
    if (packages[nested] !== undefined) return nested;
  }
  const top = `node_modules/${name}`;
  return packages[top] === undefined ? undefined : top;
}

/**
 * Both files, narrowed.
 * @throws Error that names the packages that the project does not have.
 */
export function narrow(manifest: Manifest, lock: LockFile): { manifest: Manifest; lock: LockFile } {
  const wanted = [...servicePackages, bundler];
  const declared = { ...manifest.devDependencies, ...manifest.dependencies };
  const missing = wanted.filter(
    (name) => declared[name] === undefined || lock.packages[`node_modules/${name}`] === undefined,
  );
  if (missing.length > 0) {
    throw new Error(
      `package.json or package-lock.json has no ${missing.join(", ")}, which images/packages.ts names: ` +
        "install it, or take it off the list",
    );
  }
  const dependencies = Object.fromEntries(wanted.map((name) => [name, declared[name] as string]));
  const { name, version, license, type } = manifest;
  const narrowed: Manifest = {
    name,
    version,
    ...(license === undefined ? {} : { license }),
    ...(type === undefined ? {} : { type }),
    dependencies,
  };

  const reached = new Set<string>();
  const follow = (from: string, names: readonly string[]): void => {
    for (const dependency of names) {
      const key = locate(lock.packages, from, dependency);
      if (key === undefined || reached.has(key)) continue;
      reached.add(key);
      const { dependencies, optionalDependencies, peerDependencies } = lock.packages[key] ?? {};
      follow(key, Object.keys({ ...dependencies, ...optionalDependencies, ...peerDependencies }));
    }
  };
  follow("", wanted);
  const packages = Object.keys(lock.packages)
    .filter((key) => reached.has(key))
    .map((key) => {
      const { dev: _dev, devOptional: _devOptional, ...entry } = lock.packages[key] as LockedPackage;
      return [key, entry] as const;
    });
  return {
    manifest: narrowed,
    lock: { ...lock, packages: { "": narrowed, ...Object.fromEntries(packages) } },
  };
}

if (process.argv[1] !== undefined && path.resolve(process.argv[1]) === import.meta.filename) {
  const read = (file: string): unknown => JSON.parse(readFileSync(file, "utf8"));
  const { manifest, lock } = narrow(read("package.json") as Manifest, read("package-lock.json") as LockFile);
  writeFileSync("package.json", `${JSON.stringify(manifest, null, 2)}\n`);
  writeFileSync("package-lock.json", `${JSON.stringify(lock, null, 2)}\n`);
}
