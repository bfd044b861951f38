/** `trading archive list`: which clusters the bucket holds. */
import { type Command, Option } from "commander";
import { type ClusterEntry, listClusters } from "../../services/archive/catalogue.ts";
import { exitCodes } from "../exit-codes.ts";
import { runs } from "../run.ts";
import { table } from "../table.ts";
import { describeBucket, openBucket } from "./bucket.ts";
import { clusterPath, dateOption } from "./select.ts";

interface ListOptions {
  stack?: string;
  date?: string;
  from?: string;
  to?: string;
  json?: boolean;
}

/** Adds the command. */
export function registerList(archive: Command): void {
  const list = archive
    .command("list")
    .description("The clusters in the bucket by stack and date: state, generation, records, size.")
    .option("--stack <name>", "only this stack's")
    .addOption(dateOption("--date <date>", "only of this business date").conflicts(["from", "to"]))
    .addOption(dateOption("--from <date>", "only of this business date and later"))
    .addOption(dateOption("--to <date>", "only of this business date and earlier"))
    .addOption(new Option("--json", "one JSON array instead of a table"))
    .action(
      runs(async (run, options: ListOptions) => {
        const store = openBucket(options.stack);
        try {
          const from = options.date ?? options.from;
          const to = options.date ?? options.to;
          const entries = await listClusters(store, {
            ...(options.stack === undefined ? {} : { stack: options.stack }),
            ...(from === undefined ? {} : { from }),
            ...(to === undefined ? {} : { to }),
          });
          run.print(options.json ? JSON.stringify(entries.map(summary)) : print(entries));
        } finally {
          store.close();
        }
        return exitCodes.ok;
      }),
    );
  describeBucket(list);
}

/** What a script needs of a cluster; null where it is not known. */
function summary({ identity, state, opened, manifest, pruned, override, problems }: ClusterEntry) {
  return {
    ...identity,
    state,
    generation: manifest?.generation ?? pruned?.generation ?? null,
    records: manifest?.totals.records ?? pruned?.records ?? null,
    objects: manifest?.totals.objects ?? null,
    bytes: manifest?.totals.bytes ?? null,
    openedAt: opened?.openedAt ?? null,
    sealedAt: manifest?.sealedAt ?? null,
    prunedAt: pruned?.prunedAt ?? null,
    dataLossAllowedAt: override?.overriddenAt ?? null,
    problems,
  };
}

function print(entries: readonly ClusterEntry[]): string {
  if (entries.length === 0) return "no cluster is archived there";
  const rows = entries.map((entry) => {
    const { records, bytes, generation, sealedAt, dataLossAllowedAt } = summary(entry);
    const state = dataLossAllowedAt === null ? entry.state : `${entry.state}, loss allowed`;
    const numbers = [generation, records, bytes].map((value) => value?.toString() ?? "-");
    return [clusterPath(entry.identity), state, ...numbers, sealedAt ?? "-"];
  });
  return table(["CLUSTER", "STATE", ">GENERATION", ">RECORDS", ">BYTES", "SEALED"], rows);
}
