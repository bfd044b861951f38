/** What a seal holds beside the topics' records: evidence of the day, and the orders that the next cluster takes over. */
import type { z } from "zod";
import type { Kafka } from "../bus/kafka.ts";
import type { Logger } from "../core/log.ts";
import { openCommandSummaries, writeCarryOver } from "./carry-over.ts";
import type { ClusterArchive } from "./cluster-archive.ts";
import { collectEvidence } from "./evidence/collect.ts";
import { evidenceSources, type evidenceVariables } from "./evidence/settings.ts";
import { OpenCommands } from "./open-commands.ts";
import type { SealOptions } from "./seal.ts";

/** Arguments of {@link sealExtras}. */
export interface SealExtrasOptions {
  kafka: Kafka;
  archive: ClusterArchive;
  logger: Logger;
  /** What `evidenceVariables` parse to. */
  config: z.output<z.ZodObject<typeof evidenceVariables>>;
  /** Ends the following of the journal: the archiver stops. */
  signal: AbortSignal;
}

/** Begins to follow the executors' journal. @returns the seal's hooks. */
export function sealExtras({
  kafka,
  archive,
  logger,
  config,
  signal: stopped,
}: SealExtrasOptions): Required<Pick<SealOptions, "evidence" | "carryOver" | "openCommands">> {
  const commands = new OpenCommands(kafka, logger);
  void commands.follow(stopped);
  const sources = evidenceSources(config);
  const timeoutMs = config.EVIDENCE_SECONDS * 1_000;
  return {
    evidence: (signal, onProgress, generation) =>
      collectEvidence({ archive, sources, timeoutMs, logger, signal, onProgress, generation }),
    carryOver: async (signal) => writeCarryOver(archive, (await commands.look(signal)).open),
    openCommands: async (signal) => openCommandSummaries(await commands.look(signal)),
  };
}
