/** `trading notify`: tells people something, to try whether it arrives, or from a script. */
import { type Command, InvalidArgumentError, Option } from "commander";
import { type ExitCode, exitCodes } from "../exit-codes.ts";
import { stackOption } from "../hetzner/settings.ts";
import { type Run, runs, UsageError } from "../run.ts";
import { type NoticeKind, noticeKinds } from "./notice.ts";
import { type HeartbeatJob, heartbeatJobs, type Notifier, openNotifier } from "./notifier.ts";
import { readSecretUrl } from "./secret-url.ts";

interface NotifyOptions {
  stack: string;
  kind: NoticeKind;
  text: string;
  heartbeat?: HeartbeatJob;
}

/** Adds the command. */
export function registerNotify(program: Command): void {
  program
    .command("notify")
    .description(
      "Tells people something by the webhook: by default that this is a test, to try whether it arrives.",
    )
    .addOption(stackOption())
    .addOption(new Option("--kind <kind>", "what it is about").choices(noticeKinds).default("test"))
    .addOption(
      new Option("--text <text>", "what they read")
        .argParser((text: string) => {
          if (text.trim() === "") throw new InvalidArgumentError("Expected a text.");
          return text;
        })
        .default("This is a test. Whoever reads it is told when a trading day does not go as it should."),
    )
    .addOption(
      new Option(
        "--heartbeat <job>",
        "beat the dead-man's heartbeat of this job, too: it then takes the job for done",
      ).choices(heartbeatJobs),
    )
    .addHelpText(
      "after",
      `
TRADING_WEBHOOK_URL: where Slack, Mattermost, Discord, ntfy and their like receive JSON by POST; TRADING_HEARTBEAT_URL: what a
dead-man's switch such as healthchecks.io asks to be visited ({job} in it becomes open, close or guard). Both are secrets: https
only, and never shown. docs/guard.md says how each receiver is set up.

Exit code 1: it did not arrive, and the warning says why; 2: there is no such address, or it is wrong.`,
    )
    .action(runs((run, options: NotifyOptions) => notify(run, options)));
}

async function notify(run: Run, { stack, kind, text, heartbeat }: NotifyOptions): Promise<ExitCode> {
  const environment = process.env;
  const names = ["TRADING_WEBHOOK_URL", ...(heartbeat === undefined ? [] : ["TRADING_HEARTBEAT_URL"])];
  const mistakes = names.flatMap((name) => {
    const read = readSecretUrl(name, environment[name]);
    if (read === undefined) return [`  ${name} is not set`];
    return "mistake" in read ? [`  ${read.mistake}`] : [];
  });
  if (mistakes.length > 0) throw new UsageError(`Nobody can be told:\n${mistakes.join("\n")}`);
  const notifier: Notifier = openNotifier({ environment, reporter: run, signal: run.signal });
  const at = new Date().toISOString();
  const arrived = [
    await notifier.tell({ kind, stack, cluster: null, text, at }),
    ...(heartbeat === undefined ? [] : [await notifier.beat(heartbeat)]),
  ];
  if (arrived.includes(false)) return exitCodes.failed;
  run.print(`told${heartbeat === undefined ? "" : `, and the heartbeat of ${heartbeat} was beaten`}`);
  return exitCodes.ok;
}
