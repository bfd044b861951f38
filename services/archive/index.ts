/** The archive, as other parts use it: open one in the bucket, verify it, read it. */
import { ClusterArchive } from "./cluster-archive.ts";
import type { ArchiveIdentity } from "./layout.ts";
import { ArchiveStore, type StoreSettings } from "./store.ts";

export { ArchiveDocumentError, ClusterArchive } from "./cluster-archive.ts";
export type { Manifest, Opened, SealProgress } from "./documents.ts";
export { type ArchiveIdentity, archivePrefix } from "./layout.ts";
export type { ArchivedHeader, ArchivedRecord } from "./line.ts";
export { RecordHash } from "./record-hash.ts";
export {
  ArchiveBucketFullError,
  ArchiveBucketMissingError,
  ArchiveCredentialsError,
  ArchiveStoreError,
  ArchiveUnreachableError,
  type StoreSettings,
} from "./store.ts";
export { NotSealedError, ObjectProblem, readArchive, readArchivedPartition } from "./read-archive.ts";
export {
  type Verification,
  verifyArchive,
  type VerifyMode,
  type VerifyOptions,
  type VerifyProgress,
} from "./verify.ts";

/** One cluster's archive. Nothing is read yet. Close its `store` when done. */
export function openArchive(settings: StoreSettings, identity: ArchiveIdentity): ClusterArchive {
  return new ClusterArchive(new ArchiveStore(settings), identity);
}
