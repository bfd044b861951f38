/** The programs of the kills' checks, bundled: 200 killed runs start 400 processes. */
import { fileURLToPath } from "node:url";
import { type Bundle, bundleProgram } from "../../lab/program-bundle.ts";

export type { Bundle } from "../../lab/program-bundle.ts";

/** Bundles kills-child.ts and the Pulumi program. @throws esbuild's BuildFailure */
export function bundlePrograms(): Promise<Bundle> {
  return bundleProgram(fileURLToPath(new URL("kills-child.ts", import.meta.url)));
}
