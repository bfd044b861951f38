/**
 * May a cluster's servers go? The same gate as on `destroy`, for clusters that no state knows any more, and with a memory:
 * a removal that was killed half way has removed the archiver, so nobody could answer a second time.
 */
import { hostname } from "node:os";
import { z } from "zod";
import type { ClusterArchive } from "../../services/archive/cluster-archive.ts";
import { GateRefusedError, passGate } from "../../services/archive/seal-gate.ts";
import type { ArchiveStore } from "../../services/archive/store.ts";
import { verifyArchive, type VerifyMode } from "../../services/archive/verify.ts";
import { toInstant } from "../../services/core/time.ts";
import { RefusedError } from "../run.ts";
import { archiveOf } from "./held.ts";
import type { Leftover } from "./leftovers.ts";
import { isControlPlane } from "./removal.ts";

/** How the gate is asked, as its environment variables say on `destroy`. */
export interface GateSettings {
  /** Longest wait for the archiver, in ms. */
  timeoutMs: number;
  verify: VerifyMode;
  /** Value of TRADING_ALLOW_DATA_LOSS. */
  allowDataLoss: string | undefined;
}

/** Why a cluster's resources may be removed. */
export type Release = "never-opened" | "no-servers" | "sealed" | "removal-begun" | "data-loss-allowed";

/** The gate let the cluster go, with this manifest: written before its first server is removed. */
const removalDocument = "removal.json";
const removalSchema = z.object({
  manifestChecksum: z.string().min(1),
  generation: z.int().min(1),
  /** RFC 3339. */
  allowedAt: z.string(),
  /** Host name of the machine that removes. */
  by: z.string(),
});

/** Arguments of {@link demandRelease}. */
export interface ReleaseArguments {
  stack: string;
  leftover: Leftover;
  archiveStore: ArchiveStore;
  gate: GateSettings;
  /** Receives the gate's lines for people. */
  report: (line: string) => void;
  signal: AbortSignal;
}

/**
 * Opens or refuses. A cluster that was opened is asked for its seal through the bucket, also when it is sealed: only its
 * archiver knows whether it went on.
 * @throws RefusedError that says what to do; ArchiveStoreError; the signal's reason.
 */
export async function demandRelease(args: ReleaseArguments): Promise<Release> {
  const { stack, leftover, archiveStore, gate, report, signal } = args;
  const { cluster, held, resources } = leftover;
  if (cluster === undefined) {
    throw new RefusedError(
      `Something carries the labels of stack ${stack} but no cluster-id and business-date, so this program did not make it ` +
        "as it is. Look at it in the Hetzner console, and remove it there or take its labels away.",
    );
  }
  if (held === "never") return "never-opened";
  if (!resources.some(({ holdsData }) => holdsData)) return "no-servers";
  const archive = archiveOf(archiveStore, stack, cluster);
  if (!resources.some(isControlPlane) && (await removalWasBegun(archive))) return "removal-begun";
  try {
    const { timeoutMs, verify, allowDataLoss } = gate;
    const outcome = await passGate({ archive, timeoutMs, verify, allowDataLoss, report, signal });
    if (outcome.reason !== "sealed") return outcome.reason;
    const { manifest } = outcome.verification;
    if (manifest !== undefined) {
      await archive.write(removalDocument, {
        manifestChecksum: manifest.checksum,
        generation: manifest.generation,
        allowedAt: toInstant(Date.now()),
        by: hostname(),
      } satisfies z.infer<typeof removalSchema>);
    }
    return "sealed";
  } catch (error) {
    if (!(error instanceof GateRefusedError)) throw error;
    throw new RefusedError(error.message, { cause: error });
  }
}

/** Whether the gate let this very archive go before: the control plane went after it, so nothing was written since. */
async function removalWasBegun(archive: ClusterArchive): Promise<boolean> {
  const begun = await archive.read(removalDocument, removalSchema);
  if (begun === undefined) return false;
  const { verified, manifest } = await verifyArchive(archive, { mode: "fast" });
  return verified && manifest?.checksum === begun.manifestChecksum;
}
