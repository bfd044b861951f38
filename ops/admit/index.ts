/** `trading admit`: lets the caller's address reach the cluster for a while, and shuts it out again. */
import { randomBytes } from "node:crypto";
import { hostname, userInfo } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { type Command, InvalidArgumentError, Option } from "commander";
import type { StackValues } from "../../stacks/config-schema.ts";
import { type ExitCode, exitCodes } from "../exit-codes.ts";
import { describeHetzner, openHetzner, readStack, stackOption } from "../hetzner/settings.ts";
import { type Run, runs, UsageError } from "../run.ts";
import { table } from "../table.ts";
import { defaultAddressService, ownAddress, parseAddress, parseAddressService } from "./address.ts";
import { type Admission, admissionsIn, kubernetesApiPort } from "./admission.ts";
import { closeAdmissions, findFirewall, NoFirewallError, openAdmission } from "./admissions.ts";
import { runCommand } from "./command.ts";

interface AdmitOptions {
  stack: string;
  address?: string;
  addressService: string;
  for: number;
  name: string;
  close?: boolean;
  all?: boolean;
  list?: boolean;
  json?: boolean;
}

/** While a command runs, what others may have undone is repaired this often. */
const watchMs = 30_000;
/** A command that was interrupted ends in its own time, and the admission is closed behind it. */
const interruptGraceMs = 120_000;
const longestSeconds = 12 * 3_600;

/** Adds the command. */
export function registerAdmit(program: Command): void {
  const admit = program
    .command("admit")
    .description(
      "Opens SSH and the Kubernetes API of a running cluster to this machine's address for a while (for CI runners and people on the " +
        "road), by rules of the stack's firewall beside those of trading:adminCidrs. With a command: only while it runs.",
    )
    .argument(
      "[command...]",
      "run this, and close when it ends, fails or is interrupted: trading admit -- kubectl get nodes",
    )
    .addOption(stackOption())
    .option("--address <address>", "let this one address in; default: the address of this machine")
    .addOption(
      new Option("--address-service <url>", "answers with the caller's IPv4 address as plain text")
        .env("TRADING_ADDRESS_SERVICE")
        .default(defaultAddressService),
    )
    .addOption(
      new Option("--for <duration>", "how long at most, such as 30m or 2h (12h at most)")
        .default(3_600, "1h")
        .argParser(readDuration),
    )
    .addOption(
      new Option("--name <name>", "for whom, for the rules' description")
        .argParser(cleanName)
        .default(defaultName()),
    )
    .option("--close", "close what is open for this address and this name instead")
    .option("--all", "with --close: everybody's")
    .option("--list", "show what is open instead")
    .option("--json", "one JSON object instead of a report")
    .action(runs(runAdmit, { interruptGraceMs }));
  describeHetzner(admit).addHelpText(
    "after",
    "\nWhat is over is removed by the next admit, open or close of anybody: the API ends no rule by itself. Exit code 1 when the\n" +
      "command fails.",
  );
}

async function runAdmit(run: Run, command: string[], options: AdmitOptions): Promise<ExitCode> {
  const { close = false, list = false, all = false, json = false } = options;
  const modes = [close && "--close", list && "--list", command.length > 0 && "a command"].filter(Boolean);
  if (modes.length > 1) throw new UsageError(`Say one of ${modes.join(", ")}.`);
  if (all && !close) throw new UsageError("--all goes with --close.");
  const { stack } = options;
  const values = readStack(stack);
  // Closing must go on after a Ctrl-C, so this client knows no signal.
  const client = openHetzner(values, { report: run.progress });
  const address = async () =>
    options.address === undefined
      ? ownAddress(parseAddressService(options.addressService), run.signal)
      : parseAddress(options.address);

  if (list) {
    const firewall = await findFirewall(client, stack);
    if (firewall === undefined) throw new NoFirewallError(stack);
    report(run, admissionsIn(firewall.rules), json, "nobody is admitted beside trading:adminCidrs");
    return exitCodes.ok;
  }
  if (close) {
    const own = all ? undefined : await address();
    const isMeant = (admission: Admission): boolean =>
      own === undefined || (admission.address === own && admission.name === options.name);
    const closed = await closeAdmissions(client, stack, isMeant);
    report(run, closed, json, "nothing was open");
    return exitCodes.ok;
  }

  const admission: Admission = {
    id: randomBytes(6).toString("hex"),
    address: await address(),
    until: Math.floor(Date.now() / 1_000) + options.for,
    name: options.name,
  };
  if (admission.address.endsWith("/128"))
    run.note("warning: the cluster's servers have no public IPv6 address; this opens nothing");
  if (command.length === 0) {
    try {
      await openAdmission(client, stack, admission, portsOf(values), { signal: run.signal });
    } catch (error) {
      // Whoever interrupted it does not know whether it was open already.
      if (run.signal.aborted) await closeAdmissions(client, stack, ({ id }) => id === admission.id);
      throw error;
    }
    report(run, [admission], json, "");
    return exitCodes.ok;
  }
  return whileAdmitted(run, client, stack, admission, values, command);
}

/** Opens, runs the command, and closes whatever happens. */
async function whileAdmitted(
  run: Run,
  client: ReturnType<typeof openHetzner>,
  stack: string,
  admission: Admission,
  values: StackValues,
  command: readonly string[],
): Promise<ExitCode> {
  const closeOwn = async (): Promise<void> => {
    await closeAdmissions(client, stack, ({ id }) => id === admission.id);
  };
  const ended = new AbortController();
  let watching = Promise.resolve();
  try {
    await openAdmission(client, stack, admission, portsOf(values), { signal: run.signal });
    run.note(`${admission.address} is admitted to ${stack} until ${untilText(admission)}`);
    watching = watch(
      run,
      () => openAdmission(client, stack, admission, portsOf(values)),
      closeOwn,
      admission,
      ended.signal,
    );
    const code = await runCommand(command, run.signal);
    if (code !== 0) run.note(`${command[0]} ended with exit code ${code}`);
    return code === 0 ? exitCodes.ok : exitCodes.failed;
  } finally {
    ended.abort();
    await watching;
    run.note(`closing ${stack} to ${admission.address}`);
    await closeOwn();
  }
}

/** Repairs what others undid, and closes when the time is over although the command goes on. */
async function watch(
  run: Run,
  repair: () => Promise<void>,
  close: () => Promise<void>,
  admission: Admission,
  ended: AbortSignal,
): Promise<void> {
  while (!ended.aborted) {
    const left = admission.until * 1_000 - Date.now();
    try {
      if (left <= 0) {
        run.note(`the time of ${admission.address} is over; the command goes on without`);
        await close();
        return;
      }
      await sleep(Math.min(watchMs, left), undefined, { signal: ended });
      if (Date.now() < admission.until * 1_000) await repair();
    } catch (error) {
      if (ended.aborted) return;
      run.note(`warning: ${error instanceof Error ? error.message : String(error)}`);
      if (left <= 0) return;
    }
  }
}

function portsOf(values: StackValues): number[] {
  return [values.ssh.port, kubernetesApiPort];
}

function untilText({ until }: Admission): string {
  return new Date(until * 1_000).toISOString();
}

function report(run: Run, admissions: readonly Admission[], json: boolean, none: string): void {
  const shown = admissions.map((admission) => ({ ...admission, until: untilText(admission) }));
  if (json) run.print(JSON.stringify({ admissions: shown }));
  else if (shown.length === 0) run.print(none);
  else
    run.print(
      table(
        ["ADDRESS", "UNTIL", "FOR", "ID"],
        shown.map(({ address, until, name, id }) => [address, until, name, id]),
      ),
    );
}

function readDuration(text: string): number {
  const [, count, unit] = /^(\d{1,5})([smh])$/.exec(text) ?? [];
  const seconds = Number(count) * { s: 1, m: 60, h: 3_600 }[(unit ?? "s") as "s" | "m" | "h"];
  if (!(seconds >= 1 && seconds <= longestSeconds))
    throw new InvalidArgumentError("Expected a duration such as 90s, 30m or 2h, 12h at most.");
  return seconds;
}

/** What a description may hold of a name. */
function cleanName(name: string): string {
  const clean = name.replaceAll(/[^\w.@-]+/g, "-").slice(0, 64);
  if (clean === "") throw new InvalidArgumentError("Expected letters, digits and . @ _ -");
  return clean;
}

function defaultName(): string {
  let user = "unknown";
  try {
    user = userInfo().username;
  } catch {
    // A container's user need not have a name.
  }
  return cleanName(`${user}@${hostname()}`);
}
