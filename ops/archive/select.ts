/** Which cluster a command is about: `<stack>/<date>/<cluster-id>`, or as much of it as leaves no doubt. */
import { type Command, InvalidArgumentError, Option } from "commander";
import { type ClusterEntry, listClusters } from "../../services/archive/catalogue.ts";
import { ClusterArchive } from "../../services/archive/cluster-archive.ts";
import type { ArchiveIdentity } from "../../services/archive/layout.ts";
import type { ArchiveStore } from "../../services/archive/store.ts";
import { calendarDate } from "../../services/core/config.ts";
import { UsageError } from "../run.ts";
import { openBucket } from "./bucket.ts";

/** What {@link addCluster} adds to a command's options. */
export interface ClusterOptions {
  stack?: string;
  date?: string;
  cluster?: string;
  /** Of several, the one that was opened last. */
  last?: boolean;
}

/** An option that takes a calendar date; anything else is wrong usage. */
export function dateOption(flags: string, description: string): Option {
  return new Option(flags, description).argParser((text) => {
    if (!calendarDate.safeParse(text).success)
      throw new InvalidArgumentError("Expected a date like 2025-10-14.");
    return text;
  });
}

/** Lets a command be told which cluster: as its only argument, or by options. */
export function addCluster(command: Command): Command {
  return command
    .argument("[cluster]", "<stack>/<date>/<cluster-id>, as `archive list` prints it")
    .option("--stack <name>", "the stack, where it is not told by the argument")
    .addOption(dateOption("--date <date>", "the business date"))
    .option("--cluster <id>", "the cluster's id, where a date has two")
    .option("--last", "of several, the one that was opened last");
}

/** As people write it. */
export function clusterPath({ stack, businessDate, clusterId }: ArchiveIdentity): string {
  return `${stack}/${businessDate}/${clusterId}`;
}

/**
 * Opens the archive that a command was told of. Close its `store` when done.
 * @throws UsageError when it is not known which: none is there, or several are and they are listed.
 * @throws ArchiveStoreError
 */
export async function openCluster(
  path: string | undefined,
  options: ClusterOptions,
): Promise<{ archive: ClusterArchive; entry: ClusterEntry }> {
  const wanted = wantedCluster(path, options);
  const store = openBucket(wanted.stack);
  try {
    const entry = await selectCluster(store, wanted, options.last === true);
    return { archive: new ClusterArchive(store, entry.identity), entry };
  } catch (error) {
    store.close();
    throw error;
  }
}

type Wanted = Partial<ArchiveIdentity>;

function wantedCluster(path: string | undefined, options: ClusterOptions): Wanted {
  const given = {
    ...(options.stack === undefined ? {} : { stack: options.stack }),
    ...(options.date === undefined ? {} : { businessDate: options.date }),
    ...(options.cluster === undefined ? {} : { clusterId: options.cluster }),
  };
  if (path === undefined) {
    if (Object.keys(given).length > 0 || options.last === true) return given;
    throw new UsageError(
      "Which cluster? Name it as <stack>/<date>/<cluster-id>, or with --stack, --date, --cluster, --last.",
    );
  }
  if (options.date !== undefined || options.cluster !== undefined)
    throw new UsageError(
      `The cluster is named twice: as ${path} and with --date or --cluster. Leave one out.`,
    );
  const match = /^([^/]+)\/(\d{4}-\d\d-\d\d)\/([^/]+)\/?$/.exec(path);
  const [, stack, businessDate, clusterId] = match ?? [];
  if (
    stack === undefined ||
    clusterId === undefined ||
    !calendarDate.safeParse(businessDate).success ||
    businessDate === undefined
  )
    throw new UsageError(
      `The cluster: found ${JSON.stringify(path)}, expected <stack>/<date>/<cluster-id> as \`archive list\` prints it`,
    );
  if (options.stack !== undefined && options.stack !== stack)
    throw new UsageError(`The cluster is of stack ${stack}, but --stack is ${options.stack}.`);
  return { stack, businessDate, clusterId };
}

async function selectCluster(store: ArchiveStore, wanted: Wanted, last: boolean): Promise<ClusterEntry> {
  const { stack, businessDate, clusterId } = wanted;
  const found = await listClusters(store, {
    ...(stack === undefined ? {} : { stack }),
    ...(businessDate === undefined ? {} : { from: businessDate, to: businessDate }),
    ...(clusterId === undefined ? {} : { clusterId }),
  });
  const openedAt = ({ opened, identity }: ClusterEntry): number =>
    Date.parse(opened?.openedAt ?? `${identity.businessDate}T00:00:00Z`);
  if (last) found.sort((one, other) => openedAt(other) - openedAt(one));
  const [entry, ...others] = found;
  const where = `the bucket "${store.settings.bucket}" at ${store.settings.endpoint}`;
  const asked = [stack ?? "*", businessDate ?? "*", clusterId ?? "*"].join("/");
  if (entry === undefined)
    throw new UsageError(`There is no cluster ${asked} in ${where}. \`archive list\` shows what is there.`);
  if (others.length > 0 && !last) {
    const lines = found.map(({ identity, state }) => `  ${clusterPath(identity)}  ${state}`);
    throw new UsageError(
      `${asked} is not one cluster but ${found.length} in ${where}. Name one of them, or add --last:\n${lines.join("\n")}`,
    );
  }
  return entry;
}
