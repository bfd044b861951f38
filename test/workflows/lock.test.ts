/**
 * `npm ci`, with which every workflow begins, refuses a package-lock.json that lacks packages of other platforms; npm
 * writes such a one where the registry at hand has not all of them, and `npm install` never complains about it.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { projectDirectory } from "../../lab/directories.ts";

interface Locked {
  version?: string;
  integrity?: string;
  link?: boolean;
  optionalDependencies?: Record<string, string>;
}

const lock = JSON.parse(readFileSync(path.join(projectDirectory, "package-lock.json"), "utf8")) as {
  packages: Record<string, Locked>;
};

/** Whether a package finds another one, as Node looks for it. */
function finds(from: string, name: string): boolean {
  for (let folder = from; ; folder = folder.slice(0, Math.max(0, folder.lastIndexOf("/node_modules/")))) {
    if (lock.packages[`${folder === "" ? "" : `${folder}/`}node_modules/${name}`] !== undefined) return true;
    if (folder === "") return false;
  }
}

test("the lock file has what each package wants for every platform, so that `npm ci` accepts it", () => {
  const missing = Object.entries(lock.packages).flatMap(([from, { optionalDependencies = {} }]) =>
    Object.keys(optionalDependencies).flatMap((name) => (finds(from, name) ? [] : [`${from}: ${name}`])),
  );
  assert.deepEqual(missing, []);
});

test("every package in it has a checksum", () => {
  const without = Object.entries(lock.packages).flatMap(([name, { integrity, link }]) =>
    name === "" || link === true || integrity !== undefined ? [] : [name],
  );
  assert.deepEqual(without, []);
});
