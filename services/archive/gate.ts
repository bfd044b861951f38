/**
 * `node --import tsx services/archive/gate.ts`: demands a sealed archive before a cluster is removed. Runs where the
 * destroy runs. Environment: STACK, BUSINESS_DATE, CLUSTER_ID, S3_ENDPOINT, S3_REGION, S3_BUCKET, S3_ACCESS_KEY_ID,
 * S3_SECRET_ACCESS_KEY; optional GATE_TIMEOUT_SECONDS (1 to 86,400, default 900), GATE_VERIFY (fast: the manifest and one listing, default; deep:
 * every byte) and TRADING_ALLOW_DATA_LOSS=<stack>/<cluster-id>.
 * Standard error tells what goes on. Exit code 0: the cluster may go; anything else: it must stay.
 */
import { z } from "zod";
import { integer, readConfig, text } from "../core/config.ts";
import { passGate } from "./seal-gate.ts";
import { archiveFromEnvironment, identityVariables, storeVariables } from "./settings.ts";

const variables = {
  ...identityVariables,
  ...storeVariables,
  GATE_TIMEOUT_SECONDS: integer(1, 86_400).default(900),
  GATE_VERIFY: z.enum(["fast", "deep"]).default("fast"),
  TRADING_ALLOW_DATA_LOSS: text.optional(),
};

const say = (line: string): void => void process.stderr.write(`export gate: ${line}\n`);
const abort = new AbortController();
let exitCode = 1;
for (const [signal, code] of [
  ["SIGINT", 130],
  ["SIGTERM", 143],
] as const) {
  process.once(signal, () => {
    exitCode = code;
    abort.abort(new Error(`interrupted (${signal}): nothing was removed`));
    // A request to the bucket that hangs must not hold up whoever wants out.
    setTimeout(() => process.exit(code), 2_000).unref();
  });
}
try {
  const config = readConfig(variables);
  // Shorter than a service's patience: somebody waits in front of a terminal.
  const archive = archiveFromEnvironment(config, { requestTimeoutMs: 15_000, attempts: 3 });
  await passGate({
    archive,
    timeoutMs: config.GATE_TIMEOUT_SECONDS * 1_000,
    allowDataLoss: config.TRADING_ALLOW_DATA_LOSS,
    verify: config.GATE_VERIFY,
    report: say,
    signal: abort.signal,
  });
  exitCode = 0;
} catch (error) {
  const reason: unknown = abort.signal.aborted ? abort.signal.reason : error;
  say(`REFUSED: ${reason instanceof Error ? reason.message : String(reason)}`);
}
process.exit(exitCode);
