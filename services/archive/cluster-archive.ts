/** One cluster's archive in the bucket: its documents and objects, by names relative to its prefix. */
import type { z } from "zod";
import { partitionKey } from "../bus/kafka-log.ts";
import { type ArchiveIdentity, archivePrefix, type OffsetRange, parseObjectName } from "./layout.ts";
import type { ArchiveStore, StoredObject } from "./store.ts";

/** A document in the archive is not what it should be. */
export class ArchiveDocumentError extends Error {
  override readonly name = "ArchiveDocumentError";
}

/** An object with records, as the listing shows it. */
export interface ListedRange extends OffsetRange {
  /** Relative to the prefix. */
  name: string;
  bytes: number;
  /** Without quotation marks. */
  etag: string;
}

/** See the module's description. */
export class ClusterArchive {
  readonly store: ArchiveStore;
  readonly identity: ArchiveIdentity;
  /** With a slash at its end. */
  readonly prefix: string;

  constructor(store: ArchiveStore, identity: ArchiveIdentity) {
    this.store = store;
    this.identity = identity;
    this.prefix = archivePrefix(identity);
  }

  /** Writes a document. @throws ArchiveStoreError */
  async write(name: string, document: unknown): Promise<void> {
    await this.store.putJson(this.prefix + name, document);
  }

  /**
   * Reads a document; undefined when there is none.
   * @throws ArchiveStoreError, ArchiveDocumentError when it does not fit the schema.
   */
  async read<T>(name: string, schema: z.ZodType<T>): Promise<T | undefined> {
    const found = await this.store.get(this.prefix + name);
    if (found === undefined) return undefined;
    let json: unknown;
    try {
      json = JSON.parse(found.body.toString("utf8"));
    } catch (error) {
      throw new ArchiveDocumentError(`${this.prefix}${name} is not JSON: ${(error as Error).message}`);
    }
    const parsed = schema.safeParse(json);
    if (parsed.success) return parsed.data;
    const mistakes = parsed.error.issues
      .slice(0, 20)
      .map((issue) => `${issue.path.join(".")}: ${issue.message}`);
    throw new ArchiveDocumentError(`${this.prefix}${name} is not valid: ${mistakes.join("; ")}`);
  }

  /** Reads an object with records. @throws ArchiveStoreError */
  get(name: string): Promise<StoredObject | undefined> {
    return this.store.get(this.prefix + name);
  }

  /** Every object with records, by topic and partition as `partitionKey` prints them. @throws ArchiveStoreError */
  async ranges(): Promise<Map<string, ListedRange[]>> {
    const byPartition = new Map<string, ListedRange[]>();
    for (const { key, bytes, etag } of await this.store.list(this.prefix)) {
      const name = key.slice(this.prefix.length);
      const range = parseObjectName(name);
      if (range === undefined) continue;
      const partition = partitionKey(range);
      const known = byPartition.get(partition) ?? [];
      known.push({ ...range, name, bytes, etag });
      byPartition.set(partition, known);
    }
    return byPartition;
  }
}
