/** The word that lets a cluster go without a seal: exact, loud, and recorded in the bucket before anything is removed. */
import { hostname, userInfo } from "node:os";
import { toInstant } from "../core/time.ts";
import type { ClusterArchive } from "./cluster-archive.ts";
import type { DataLossOverride } from "./documents.ts";
import { documents } from "./layout.ts";
import { verifyArchive } from "./verify.ts";

/** What TRADING_ALLOW_DATA_LOSS must be for this cluster. */
export function overrideWord({ identity }: ClusterArchive): string {
  return `${identity.stack}/${identity.clusterId}`;
}

/**
 * Records who allowed the loss, and what the bucket holds at that moment.
 * @param report receives lines for people.
 * @throws ArchiveStoreError when it cannot be recorded: then it is not allowed.
 */
export async function recordOverride(archive: ClusterArchive, report: (line: string) => void): Promise<void> {
  const { stack, clusterId } = archive.identity;
  const by = `${userName()}@${hostname()}`;
  const { manifest, problems } = await verifyArchive(archive, { mode: "fast" });
  const { generation = 0, sealedAt = "", checksum = "" } = manifest ?? {};
  const record: DataLossOverride = {
    stack,
    clusterId,
    overriddenAt: toInstant(Date.now()),
    by,
    manifest: manifest === undefined ? null : { generation, sealedAt, checksum, problems },
  };
  await archive.write(documents.dataLossOverride, record);
  const held =
    manifest === undefined
      ? "It was never sealed: what is not in the archive yet is lost"
      : `Its last seal (generation ${generation}, ${sealedAt}) ${problems.length === 0 ? "is whole" : "is not whole"}: what is not in it is lost`;
  const line = "!".repeat(78);
  report(line);
  report(`!! DATA LOSS ALLOWED for cluster ${stack}/${clusterId} by ${by}: it is removed without a seal.`);
  report(`!! ${held}. Recorded as ${archive.prefix}${documents.dataLossOverride}.`);
  report(line);
}

/** A user id without an entry has no name. */
function userName(): string {
  try {
    return userInfo().username;
  } catch {
    return `uid-${process.getuid?.() ?? "unknown"}`;
  }
}
