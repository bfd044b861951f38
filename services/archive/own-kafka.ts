/** Is the Kafka at hand the one for which the archive was opened? Another one's offsets begin again. */
import { ArchiveDocumentError, type ClusterArchive } from "./cluster-archive.ts";
import { openedSchema } from "./documents.ts";
import { documents } from "./layout.ts";

/**
 * What speaks against it, one sentence with what to do; undefined when nothing does.
 * @param kafkaClusterId Kafka's own id, as the brokers tell it.
 * @throws ArchiveStoreError
 */
export async function strangeKafka(
  archive: ClusterArchive,
  kafkaClusterId: string,
): Promise<{ missing: boolean; message: string } | undefined> {
  const name = archive.prefix + documents.opened;
  try {
    const opened = await archive.read(documents.opened, openedSchema);
    if (opened === undefined) {
      const message =
        `${name} is missing, which says of which Kafka the archive is. ` +
        "Run the prepare-day job again: it writes it. Then request the seal again.";
      return { missing: true, message };
    }
    if (opened.kafkaClusterId === kafkaClusterId && opened.clusterId === archive.identity.clusterId) {
      return undefined;
    }
    const message =
      `${name} is of Kafka ${opened.kafkaClusterId} in cluster ${opened.clusterId}, but the brokers now are ${kafkaClusterId} ` +
      `in cluster ${archive.identity.clusterId}: they were created anew. Nothing of them is archived over the former ones' records, ` +
      "and what the former ones held and was not archived is lost.";
    return { missing: false, message };
  } catch (error) {
    if (!(error instanceof ArchiveDocumentError)) throw error;
    return { missing: false, message: `${error.message}: it does not say of which Kafka the archive is.` };
  }
}
