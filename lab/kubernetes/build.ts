/**
 * Builds the control plane ahead of the checks that need it: `nice node --import tsx lab/kubernetes/build.ts`. Ends with 0 also where
 * it cannot be built, having said why: the checks then say that they are skipped.
 */
import { labDirectories } from "../directories.ts";
import { describeError } from "../errors.ts";
import { installDefinitions } from "./definitions.ts";
import { ControlPlaneUnavailableError } from "./errors.ts";
import { installControlPlane } from "./install.ts";

// Ended early, it takes the compiler with it.
const end = new AbortController();
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => end.abort(new Error(signal)));
const args = {
  cacheDirectory: labDirectories.cache,
  onProgress: (line: string) => console.log(line),
  signal: end.signal,
};
try {
  await installControlPlane(args);
  await installDefinitions(args);
} catch (error) {
  console.error(describeError(error));
  if (!(error instanceof ControlPlaneUnavailableError)) process.exitCode = 1;
}
