/** How fast an archived topic comes back into Kafka. Where the archive is, is read from the environment. */
import { restore } from "../../services/archive/restore.ts";
import { manifestSchema } from "../../services/archive/documents.ts";
import { documents } from "../../services/archive/layout.ts";
import {
  archiveFromEnvironment,
  identityVariables,
  storeVariables,
} from "../../services/archive/settings.ts";
import { connectKafka } from "../../services/bus/kafka.ts";
import { readConfig } from "../../services/core/config.ts";
import type { ServiceContext } from "../../services/core/service.ts";
import { usageOf } from "../process-usage.ts";
import type { RestoreOptions, RestoreTime } from "../worker-options.ts";

/** Restores one topic under another name. @throws Error when the target does not hold what was archived. */
export async function measureRestore(context: ServiceContext, options: RestoreOptions): Promise<RestoreTime> {
  const { topic, target } = options;
  const { logger, signal, settings } = context;
  const archive = archiveFromEnvironment(readConfig({ ...identityVariables, ...storeVariables }));
  try {
    const manifest = await archive.read(documents.manifest, manifestSchema);
    if (manifest === undefined) throw new Error(`${archive.prefix} has no ${documents.manifest}`);
    const kafka = connectKafka({ brokers: options.brokers, clientId: settings.SERVICE_NAME, logger });
    const started = performance.now();
    const seconds = (): number => (performance.now() - started) / 1_000;
    let writtenSeconds = 0;
    const { proven, problems, records } = await restore({
      kafka,
      archive,
      manifest,
      topics: [topic],
      rename: () => target,
      signal,
      logger,
      onProgress: ({ phase }) => {
        if (phase === "writing") writtenSeconds = seconds();
      },
    });
    if (!proven) throw new Error(problems.join("; "));
    return { records, writtenSeconds, provenSeconds: seconds(), peakRssMiB: usageOf(process.pid).peakRssMiB };
  } finally {
    archive.store.close();
  }
}
