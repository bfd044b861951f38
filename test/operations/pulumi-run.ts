/** Runs `up` by the Pulumi CLI in a process of its own, so that it can be killed. Argument: JSON with {@link PulumiRunOptions}. */
import { writeSync } from "node:fs";
import { openPulumi } from "../../ops/engine/pulumi.ts";

/** What the process is told. */
export interface PulumiRunOptions {
  projectDirectory: string;
  stack: string;
  leaseMs: number;
}

const { projectDirectory, stack, leaseMs } = JSON.parse(process.argv[2] ?? "") as PulumiRunOptions;
const engine = await openPulumi({ projectDirectory, stack, environment: process.env }, { leaseMs });
await engine?.up({
  signal: new AbortController().signal,
  // At once: a killed process has no time to flush.
  onEvent: (event) => void writeSync(1, `${JSON.stringify(event)}\n`),
});
