/**
 * `carry-over.json`: the commands whose orders rest at a venue when the cluster is sealed. The next cluster of the stack
 * takes them over (carry-over-load.ts). Without commands there is no such document, and the manifest says so.
 */
import { createHash } from "node:crypto";
import { z } from "zod";
import { calendarDate } from "../core/config.ts";
import { envelopeOf } from "../core/envelope.ts";
import { instantString } from "../core/time.ts";
import { filledAmounts, journalEntry, venueReference } from "../core/trading.ts";
import { ArchiveDocumentError, type ClusterArchive } from "./cluster-archive.ts";
import type { Manifest, ManifestCarryOver } from "./documents.ts";
import { documents } from "./layout.ts";
import type { JournalFold, OpenCommand } from "./open-commands.ts";
import type { OpenCommandSummary } from "./seal.ts";

const identityShape = { stack: z.string().min(1), businessDate: calendarDate, clusterId: z.string().min(1) };

/** A command whose order rests. */
const carriedCommand = z.strictObject({
  command_id: z.uuid(),
  venue: z.string().min(1),
  /** Of the command, its journal and its result. */
  partition: z.int().min(0),
  /** The state that the next cluster's journal begins with. */
  state: z.literal("SUBMITTED"),
  /** When the executor left the order alone, and what the venue had filled of it then. */
  left_at: instantString,
  filled: filledAmounts,
  /** What the venue knows the order by. */
  reference: venueReference,
  /** The journal's INTENT event: it holds the whole command. */
  intent: envelopeOf(journalEntry),
});
export type CarriedCommand = z.infer<typeof carriedCommand>;

export const carryOverSchema = z.strictObject({
  format: z.literal(1),
  /** The cluster that leaves the orders. */
  ...identityShape,
  commands: z.array(carriedCommand).min(1),
});
export type CarryOver = z.infer<typeof carryOverSchema>;

/**
 * Writes `carry-over.json` when a command is carried over. The same commands give the same bytes.
 * @returns what the manifest says of it. @throws ArchiveStoreError
 */
export async function writeCarryOver(
  archive: ClusterArchive,
  open: readonly OpenCommand[],
): Promise<ManifestCarryOver | null> {
  const commands = open.flatMap((command) => carried(command) ?? []);
  if (commands.length === 0) return null;
  const document: CarryOver = { format: 1, ...archive.identity, commands };
  const body = `${JSON.stringify(document, null, 2)}\n`;
  await archive.store.put(archive.prefix + documents.carryOver, body, { contentType: "application/json" });
  return { name: documents.carryOver, sha256: sha256Of(body), commands: commands.length };
}

/**
 * Reads what a sealed cluster carries over.
 * @returns undefined when it carries nothing over.
 * @throws ArchiveDocumentError when the document is missing, or is not the one that the manifest names; ArchiveStoreError.
 */
export async function readCarryOver(
  archive: ClusterArchive,
  { carryOver: expected }: Pick<Manifest, "carryOver">,
): Promise<CarryOver | undefined> {
  if (expected === null) return undefined;
  const name = archive.prefix + expected.name;
  const stored = await archive.get(expected.name);
  if (stored === undefined) throw new ArchiveDocumentError(`${name} is missing, and the manifest names it`);
  const found = sha256Of(stored.body);
  if (found !== expected.sha256) {
    throw new ArchiveDocumentError(`${name} has the hash ${found}, the manifest says ${expected.sha256}`);
  }
  const carryOver = await archive.read(expected.name, carryOverSchema);
  const { clusterId } = archive.identity;
  if (carryOver?.clusterId !== clusterId || carryOver.commands.length !== expected.commands) {
    throw new ArchiveDocumentError(
      `${name} is not that of cluster ${clusterId} with ${expected.commands} commands`,
    );
  }
  return carryOver;
}

/** What the seal has to know of commands that have not ended; an entry that cannot be read may be about one. */
export function openCommandSummaries({
  open,
  unreadable,
}: Pick<JournalFold, "open" | "unreadable">): OpenCommandSummary[] {
  const unknown = unreadable.map(({ where, at, mistake }) => ({
    commandId: `(the record ${where}: ${mistake})`,
    venue: "(not known)",
    state: "unreadable",
    since: at,
    carriedOver: false,
  }));
  const known = open.map((command) => ({
    commandId: command.commandId,
    venue: command.venue,
    state: command.state.toLowerCase(),
    since: command.since,
    carriedOver: carried(command) !== undefined,
  }));
  return [...known, ...unknown];
}

/** Only what an executor has written down as left at the venue is carried over; undefined otherwise. */
function carried({
  venue,
  partition,
  state,
  since,
  intent,
  filled,
}: OpenCommand): CarriedCommand | undefined {
  if (state !== "CARRIED_OVER" || intent === undefined || filled === undefined) return undefined;
  const { command_id, command, reference } = intent.payload;
  if (command === undefined || reference === undefined) return undefined;
  return { command_id, venue, partition, state: "SUBMITTED", left_at: since, filled, reference, intent };
}

function sha256Of(body: string | Buffer): string {
  return createHash("sha256").update(body).digest("hex");
}
