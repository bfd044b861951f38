/** Which npm packages a service's image holds: asked of the bundler that makes it. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { bundleServices } from "../../images/bundle.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));

/** @returns versions by name */
export async function packagesOf(service: string): Promise<ReadonlyMap<string, string>> {
  const directory = await mkdtemp(path.join(tmpdir(), "bundle-"));
  try {
    const { packages } = await bundleServices({
      root,
      services: [service],
      directory: path.join(directory, "app"),
    });
    return packages;
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}
