/** For tests: a bucket in memory, with the store's interface as far as documents and evidence use it. */
import { createHash } from "node:crypto";
import { ClusterArchive } from "./cluster-archive.ts";
import type { ArchiveIdentity } from "./layout.ts";
import type { ArchiveStore, ListedObject, StoredObject } from "./store.ts";

/** See the module's description. */
export class MemoryStore {
  readonly objects = new Map<string, Buffer>();
  readonly settings = {
    endpoint: "http://127.0.0.1:9",
    region: "none",
    bucket: "in-memory",
    accessKeyId: "none",
  };

  put(key: string, body: Buffer | string): Promise<{ etag: string }> {
    const bytes = Buffer.from(body);
    this.objects.set(key, bytes);
    return Promise.resolve({ etag: etagOf(bytes) });
  }

  putJson(key: string, document: unknown): Promise<void> {
    return this.put(key, `${JSON.stringify(document, null, 2)}\n`).then(() => undefined);
  }

  get(key: string): Promise<StoredObject | undefined> {
    const body = this.objects.get(key);
    return Promise.resolve(body && { body, etag: etagOf(body), metadata: {} });
  }

  async getJson(key: string): Promise<unknown> {
    const body = this.objects.get(key);
    return body && (JSON.parse(body.toString("utf8")) as unknown);
  }

  head(key: string): Promise<{ bytes: number; etag: string } | undefined> {
    const body = this.objects.get(key);
    return Promise.resolve(body && { bytes: body.length, etag: etagOf(body) });
  }

  list(prefix: string): Promise<ListedObject[]> {
    const keys = [...this.objects.keys()].filter((key) => key.startsWith(prefix)).sort();
    return Promise.resolve(
      keys.map((key) => {
        const body = this.objects.get(key) as Buffer;
        return { key, bytes: body.length, etag: etagOf(body), modified: 0 };
      }),
    );
  }

  folders(prefix: string): Promise<string[]> {
    const below = [...this.objects.keys()].filter((key) => key.startsWith(prefix));
    const folders = below.flatMap((key) => {
      const end = key.indexOf("/", prefix.length);
      return end < 0 ? [] : [key.slice(0, end + 1)];
    });
    return Promise.resolve([...new Set(folders)].sort());
  }

  /** A cluster's archive in this bucket. */
  archive(identity: ArchiveIdentity): ClusterArchive {
    return new ClusterArchive(this as unknown as ArchiveStore, identity);
  }
}

function etagOf(body: Buffer): string {
  return createHash("md5").update(body).digest("hex");
}
