/** `trading archive verify`: is a sealed archive whole? */
import type { Command } from "commander";
import { type Verification, verifyArchive } from "../../services/archive/verify.ts";
import { exitCodes } from "../exit-codes.ts";
import { type Run, runs } from "../run.ts";
import { describeBucket } from "./bucket.ts";
import { addCluster, clusterPath, type ClusterOptions, openCluster } from "./select.ts";

interface VerifyCommandOptions extends ClusterOptions {
  deep?: boolean;
  json?: boolean;
}

/** Adds the command. */
export function registerVerify(archive: Command): void {
  const verify = addCluster(archive.command("verify"))
    .description(
      "Verifies a sealed archive: its manifest, and by one listing that every object is there with the size and the " +
        "ETag it had when it was read back. With --deep every object is read and every record hashed.",
    )
    .option("--deep", "read and hash everything")
    .option("--json", "one JSON object instead of sentences")
    .action(runs(runVerify));
  describeBucket(verify).addHelpText("after", "\nExit code 1 when there is any problem; all are listed.");
}

async function runVerify(run: Run, path: string | undefined, options: VerifyCommandOptions) {
  const { archive, entry } = await openCluster(path, options);
  try {
    const verification = await verifyArchive(archive, {
      mode: options.deep ? "deep" : "fast",
      signal: run.signal,
      onProgress: ({ objects, ofObjects, bytes, ofBytes }) =>
        run.progress(`verified ${objects} of ${ofObjects} objects, ${bytes} of ${ofBytes} bytes`),
    });
    run.print(options.json ? json(verification) : print(clusterPath(entry.identity), verification));
    return verification.verified ? exitCodes.ok : exitCodes.failed;
  } finally {
    archive.store.close();
  }
}

function json({ manifest, ...rest }: Verification): string {
  const { generation = null, checksum = null } = manifest ?? {};
  return JSON.stringify({ ...rest, generation, manifestChecksum: checksum });
}

function print(path: string, verification: Verification): string {
  const { verified, mode, messages, topics, objects, bytes, manifest, problems } = verification;
  if (!verified) return [`NOT VERIFIED: ${path}`, ...problems.map((problem) => `  - ${problem}`)].join("\n");
  const how = mode === "deep" ? "every record read and hashed" : "by the manifest and one listing";
  return `verified (${how}): ${path}, generation ${manifest?.generation}: ${messages} records of ${topics} topics in ${objects} objects, ${bytes} bytes`;
}
