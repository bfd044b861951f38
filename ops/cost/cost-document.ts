/**
 * What a cluster's servers were and how long they were there: `<stack>/costs/<business-date>_<cluster-id>.json` in the
 * archive bucket. Hetzner's API forgets a server with its deletion, so whoever brings up or removes a cluster writes down
 * what is there; nothing else depends on it.
 */
import { z } from "zod";
import { calendarDate } from "../../services/core/config.ts";
import { mapConcurrently } from "../../services/archive/concurrency.ts";
import { type ArchiveIdentity, costFolder, costKey, parseCostKey } from "../../services/archive/layout.ts";
import type { ArchiveStore } from "../../services/archive/store.ts";
import { instantString } from "../../services/core/time.ts";

const amount = z.string().regex(/^\d+(\.\d+)?$/, "expected a decimal number");
const rate = z.object({ hourly: amount, monthly: amount });

const costServer = z.object({
  id: z.int(),
  name: z.string(),
  serverType: z.string(),
  location: z.string(),
  createdAt: instantString,
  /** When it was last seen to be there. */
  seenAt: instantString,
  /** When it was first seen to be gone; null while nobody has. */
  goneAt: instantString.nullable(),
  /** EUR net when it was last seen; null when the API named no price. */
  price: rate.nullable(),
  /** Of its public IPv4 address; null when it has none, or the API named no price. */
  ipv4Price: rate.nullable(),
});
/** One server of a cluster. */
export type CostServer = z.infer<typeof costServer>;

/** One cluster's document. */
export const costDocumentSchema = z.object({
  stack: z.string().min(1),
  businessDate: calendarDate,
  clusterId: z.string().min(1),
  servers: z.array(costServer),
});
export type CostDocument = z.infer<typeof costDocumentSchema>;

/** Documents read at the same time. */
const concurrency = 8;

/**
 * All documents of clusters that are wanted.
 * @returns `damaged`: keys of those that cannot be read
 * @throws ArchiveStoreError
 */
export async function readCostDocuments(
  store: ArchiveStore,
  stack: string,
  isWanted: (identity: ArchiveIdentity) => boolean,
): Promise<{ documents: CostDocument[]; damaged: string[] }> {
  const wanted = (await store.list(costFolder(stack)))
    .map(({ key }) => ({ key, identity: parseCostKey(key) }))
    .filter(({ identity }) => identity !== undefined && isWanted(identity));
  const damaged: string[] = [];
  const read = await mapConcurrently(wanted, concurrency, async ({ key }) => {
    const parsed = costDocumentSchema.safeParse(await readJson(store, key));
    if (!parsed.success) damaged.push(key);
    return parsed.data;
  });
  return { documents: read.filter((document) => document !== undefined), damaged };
}

async function readJson(store: ArchiveStore, key: string): Promise<unknown> {
  try {
    return await store.getJson(key);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    return undefined;
  }
}

/** Writes a document. @throws ArchiveStoreError */
export async function writeCostDocument(store: ArchiveStore, document: CostDocument): Promise<void> {
  const identity: ArchiveIdentity = document;
  await store.putJson(costKey(identity), document);
}
