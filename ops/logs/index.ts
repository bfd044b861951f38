/** `trading logs`: what the services' pods have said, of the running cluster or of a day that was sealed. */
import { type Command, InvalidArgumentError, Option } from "commander";
import { describeBucket, openBucket } from "../archive/bucket.ts";
import { clusterPath, dateOption } from "../archive/select.ts";
import { openStackEngine } from "../engine/choose.ts";
import { type ExitCode, exitCodes } from "../exit-codes.ts";
import { stackOption } from "../hetzner/settings.ts";
import { RefusedError, type Run, runs } from "../run.ts";
import { readKubeconfig, withKubeconfig } from "../ui/kubeconfig.ts";
import { findSealed, printArchivedLogs } from "./archived-logs.ts";
import { showRunningLogs } from "./running-logs.ts";
import { demandService } from "./services.ts";

interface LogsOptions {
  stack: string;
  service?: string;
  follow?: boolean;
  since?: Since;
  archived?: boolean;
  date?: string;
  cluster?: string;
}

interface Since {
  /** As it was given. */
  text: string;
  ms: number;
}

/** Adds the command. */
export function registerLogs(program: Command): void {
  const logs = program
    .command("logs")
    .description(
      "What the services' pods have said: of the running cluster, by kubectl of this machine; with --archived of the last day " +
        "that was sealed, or of another, from the bucket. Each line begins with its pod and container.",
    )
    .addOption(stackOption())
    .option("--service <name>", "only of this service of the catalog")
    .addOption(new Option("--follow", "go on until Ctrl-C").conflicts("archived"))
    .option(
      "--since <duration>",
      "only so far back, such as 90s, 10m or 2h; archived: before the seal",
      readSince,
    )
    .option("--archived", "of a sealed day, from the bucket")
    .addOption(
      dateOption("--date <date>", "of this business date; default: the last one").implies({ archived: true }),
    )
    .addOption(
      new Option("--cluster <id>", "of this cluster, where a date has two").implies({ archived: true }),
    )
    .action(runs(runLogs));
  describeBucket(logs).addHelpText(
    "after",
    "\nFor the running cluster the kubeconfig comes from the stack's outputs, as for ui; from where the cluster lets nobody in:\n" +
      "trading admit -- npm run --silent trading -- logs. Exit code 1 when kubectl fails or nothing is archived, 3 without a cluster.",
  );
}

function readSince(text: string): Since {
  const match = /^([1-9]\d{0,4})([smh])$/.exec(text);
  if (match === null) throw new InvalidArgumentError("Expected a duration such as 90s, 10m or 2h.");
  const unitMs = { s: 1_000, m: 60_000, h: 3_600_000 }[match[2] as "s" | "m" | "h"];
  return { text, ms: Number(match[1]) * unitMs };
}

async function runLogs(run: Run, options: LogsOptions): Promise<ExitCode> {
  const { service, archived = false } = options;
  if (service !== undefined) demandService(service);
  return archived ? showArchived(run, options) : showRunning(run, options);
}

async function showRunning(
  run: Run,
  { stack, service, follow = false, since }: LogsOptions,
): Promise<ExitCode> {
  const { env: environment } = process;
  const engine = await openStackEngine({ stack, projectDirectory: process.cwd(), environment });
  run.progress(`stack ${stack}, read by: ${engine.description}`);
  await withKubeconfig(await kubeconfigOf(engine, stack), (file) =>
    showRunningLogs(
      { service, follow, since: since?.text },
      { ...environment, KUBECONFIG: file },
      run.signal,
    ),
  );
  return exitCodes.ok;
}

async function kubeconfigOf(engine: Parameters<typeof readKubeconfig>[0], stack: string): Promise<string> {
  try {
    return await readKubeconfig(engine, stack);
  } catch (error) {
    if (!(error instanceof RefusedError)) throw error;
    throw new RefusedError(
      `${error.message}\nWhat the services of the last sealed day said: trading logs --stack ${stack} --archived`,
      { cause: error },
    );
  }
}

async function showArchived(
  run: Run,
  { stack, service, since, date, cluster }: LogsOptions,
): Promise<ExitCode> {
  const store = openBucket(stack);
  try {
    const entry = await findSealed(store, stack, { date, clusterId: cluster });
    run.note(`${clusterPath(entry.identity)}, sealed at ${entry.manifest.sealedAt}`);
    const { print, progress, signal } = run;
    const pieces = await printArchivedLogs(store, entry, {
      service,
      sinceMs: since?.ms,
      print,
      progress,
      signal,
    });
    if (pieces > 0) return exitCodes.ok;
    run.note(
      `Nothing is archived of ${service ?? "any service"}: why stands in evidence/${entry.manifest.generation}/index.json beside its topics.`,
    );
    return exitCodes.failed;
  } finally {
    store.close();
  }
}
