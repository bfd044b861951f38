/** `trading init`: sets up a stack's configuration, and checks it against everyone it names. */
import { type Command, Option } from "commander";
import { defaultAddressService, ownAddress, parseAddressService } from "../admit/address.ts";
import type { StackConfigurationStore } from "../engine/stack-configuration.ts";
import { exitCodes, type ExitCode } from "../exit-codes.ts";
import { namedStackOption } from "../hetzner/settings.ts";
import { type Run, runs, UsageError } from "../run.ts";
import { readAnswers } from "./answers.ts";
import type { CheckContext } from "./check.ts";
import { checkAll, type Gap, gapsOf, printGap } from "./checks.ts";
import { converse } from "./converse.ts";
import { Draft, isSecret } from "./draft.ts";
import { type Finding, isBad, printFinding } from "./finding.ts";
import { openWithPassphrase, passphraseVariable } from "./passphrase.ts";
import { fullKey, questions } from "./questions.ts";
import { type Dialogue, openTerminal } from "./terminal.ts";

interface InitOptions {
  stack: string;
  all?: boolean;
  answers?: string;
  check?: boolean;
  detect?: string | true;
  json?: boolean;
  probe: boolean;
  unchecked?: boolean;
}

/** What became of it. */
interface InitResult {
  stack: string;
  /** Where the configuration is. */
  file: string;
  written: boolean;
  /** Keys that were set, or would have been. */
  changed: string[];
  gaps: Gap[];
  findings: Finding[];
}

/** Adds the command. */
export function registerInit(program: Command): void {
  const variables = questions.map((question) => `  ${question.variable.padEnd(26)}${fullKey(question)}`);
  program
    .command("init")
    .description(
      "Sets up a stack's configuration: asks for what is missing or wrong, checks it against the APIs it is for, and writes " +
        "it, secrets encrypted, all of it or nothing. May be run again at any time: what is set stays.",
    )
    .addOption(namedStackOption())
    .option("--all", "ask also for what is set; take also from the environment what is set")
    .option(
      "--answers <file>",
      "answers as YAML or JSON with the configuration's keys; - reads them from standard input, which alone may hold secrets",
    )
    .addOption(
      new Option("--check", "only check what is configured; write nothing, ask nothing").conflicts([
        "answers",
        "all",
        "detect",
      ]),
    )
    .addOption(
      new Option(
        "--detect [service]",
        `let in the address that a service sees this machine as. Default: ${defaultAddressService}`,
      ),
    )
    .option(
      "--no-probe",
      "make and remove nothing at Hetzner and in the bucket; what the keys may do is then not known",
    )
    .option(
      "--unchecked",
      "write also what could not be checked because nobody answered; what was refused is never written",
    )
    .option("--json", "one JSON object instead of a report")
    .addHelpText(
      "after",
      `
The environment answers what is missing or wrong, and with --all everything:
${variables.join("\n")}
  ${passphraseVariable.padEnd(26)}encrypts the secrets; or the file that ${passphraseVariable}_FILE names
HCLOUD_ENDPOINT and NEAR_RPC_URL name other APIs to check against. Without a terminal nothing is asked: what is missing is
named, all of it, and exit code 2 says so. Exit code 1: an API refused something, or did not answer; nothing was written.
No answer is ever taken from the command line, where others on this machine could read it.

What is made to see whether keys may write, and removed at once: a placement group in the Hetzner project (free, lets nobody
in), an object trading-init-check in the bucket (it stays where the key may not delete).`,
    )
    .action(runs(init));
}

async function init(run: Run, options: InitOptions): Promise<ExitCode> {
  const { stack, check = false, json = false } = options;
  const answers = options.answers === undefined ? [] : await readAnswers(options.answers, process.stdin);
  const isTerminal = process.stdin.isTTY && process.stderr.isTTY;
  const dialogue = isTerminal && !check && options.answers !== "-" ? openTerminal(run.signal) : undefined;
  try {
    const opened = await openWithPassphrase(
      { stack, projectDirectory: process.cwd(), environment: process.env },
      dialogue,
    );
    const { store } = opened;
    const draft = new Draft(stack, opened.found);
    const context: CheckContext = {
      draft,
      environment: process.env,
      signal: run.signal,
      probe: options.probe,
      progress: run.progress,
    };
    if (!check) {
      for (const { path, value } of answers) draft.set(path, value, "answers");
      encryptWhatIsInClear(draft, run);
      takeFromEnvironment(draft, run, options.all ?? false);
      if (options.detect !== undefined) await detect(draft, run, options);
    }

    const passphraseGap: Gap[] =
      (store.passphrase === "missing" || (store.passphrase === "to be chosen" && !check)) &&
      dialogue === undefined
        ? [{ key: passphraseVariable, expected: "the passphrase of the stack's secrets", missing: true }]
        : [];
    const isWhole = () => passphraseGap.length === 0 && gapsOf(context).length === 0;
    let findings: Finding[] = [];
    if (dialogue !== undefined) {
      findings = await converse({
        ...context,
        dialogue,
        all: options.all ?? false,
        addressService: addressServiceOf(options),
      });
    } else if (isWhole() || (check && passphraseGap.length === 0)) {
      findings = await checkAll(context);
    }
    const gaps = [...passphraseGap, ...gapsOf(context)];
    const changed = draft.changes.map(({ path }) => path.join("."));
    const result = { stack, file: store.description, changed, gaps, findings };
    const report = (written: boolean) => {
      if (json) run.print(JSON.stringify({ ...result, written } satisfies InitResult));
      // In the dialogue each check was shown at its moment.
      else
        run.print(
          print({ ...result, written, findings: dialogue === undefined ? findings : [] }, draft, check),
        );
    };

    if (gaps.length > 0) {
      report(false);
      throw new UsageError(
        `The configuration of the stack ${stack} is not whole${check ? "" : "; nothing was written"}:\n${gaps.map(printGap).join("\n")}`,
      );
    }
    const bad = findings.filter(isBad);
    const isKept = (options.unchecked ?? false) || dialogue !== undefined;
    if (bad.some(({ verdict }) => verdict === "refused" || !isKept) || check) {
      report(false);
      return bad.length === 0 ? exitCodes.ok : exitCodes.failed;
    }
    if (changed.length === 0) {
      run.note(`Nothing to write: all that ${store.description} needs is set.`);
      report(false);
      return exitCodes.ok;
    }
    if (dialogue !== undefined && !(await mayWrite(dialogue, store, changed))) {
      run.note("Nothing was written.");
      report(false);
      return exitCodes.ok;
    }
    await store.write(draft.changes, (line) => {
      run.signal.throwIfAborted();
      run.progress(line);
    });
    report(true);
    run.note(
      `${store.description} is written.${opened.isNew ? ` From now on every command needs the passphrase in ${passphraseVariable}.` : ""}\n` +
        `Next: \`npm run --silent trading -- open --stack ${stack}\` (docs/first-day.md).`,
    );
    return exitCodes.ok;
  } finally {
    dialogue?.close();
  }
}

/** A secret that was written down in clear is encrypted; whoever saw the file has it all the same. */
function encryptWhatIsInClear(draft: Draft, run: Run): void {
  for (const name of draft.secretsInClear) {
    if (!isSecret(name)) continue;
    draft.set([name], draft.get([name]), "configured");
    run.note(
      `trading:${name} stands in clear. It will be encrypted; if the file was ever committed or shared, replace it at its issuer.`,
    );
  }
}

/** Takes from the environment what is missing or wrong, or with `all` whatever is there. */
function takeFromEnvironment(draft: Draft, run: Run, all: boolean): void {
  for (const question of questions) {
    const text = process.env[question.variable] ?? "";
    if (text === "") continue;
    const value = question.read?.(text) ?? text;
    const answered = draft.answered(question);
    if (answered.state !== "set" || (all && answered.source === "configured")) {
      draft.set(question.path, value, "environment");
    } else if (
      answered.source === "configured" &&
      draft.get(question.path) !== undefined &&
      JSON.stringify(draft.get(question.path)) !== JSON.stringify(value)
    ) {
      run.note(`${question.variable} differs from ${fullKey(question)}, which stays; --all takes it.`);
    }
  }
}

function addressServiceOf({ detect: named }: InitOptions): string {
  return typeof named === "string"
    ? named
    : (process.env["TRADING_ADDRESS_SERVICE"] ?? defaultAddressService);
}

async function detect(draft: Draft, run: Run, options: InitOptions): Promise<void> {
  const question = questions.find(({ path: [name] }) => name === "adminCidrs");
  if (question === undefined) return;
  const answered = draft.answered(question);
  if (answered.state === "set" && !(options.all === true && answered.source === "configured")) return;
  const service = addressServiceOf(options);
  const network = await ownAddress(parseAddressService(service), run.signal);
  run.note(`${service} sees this machine as ${network}.`);
  draft.set(question.path, [network], "detected");
}

async function mayWrite(
  dialogue: Dialogue,
  { description, secretsAre }: StackConfigurationStore,
  changed: readonly string[],
): Promise<boolean> {
  dialogue.say(
    `\nTo be written to ${description}, secrets ${secretsAre}:\n${changed.map((key) => `  ${key}`).join("\n")}`,
  );
  for (;;) {
    const answer = (await dialogue.ask("Write it? [Y/n]: ")).toLowerCase();
    if (["", "y", "yes"].includes(answer)) return true;
    if (["n", "no"].includes(answer)) return false;
  }
}

/** The report for people. A secret is only said to be set. */
function print(
  { stack, file, findings, changed, written }: InitResult,
  draft: Draft,
  check: boolean,
): string {
  const mistakes = draft.mistakes();
  const lines = questions
    .filter(({ applies }) => applies?.(draft) ?? true)
    .map((question) => {
      const answered = draft.answered(question, mistakes);
      const value = draft.get(question.path);
      const shown =
        answered.state === "missing"
          ? (question.optional ?? false)
            ? "not set"
            : "MISSING"
          : answered.state === "wrong"
            ? "WRONG"
            : (question.secret ?? false)
              ? "set"
              : Array.isArray(value)
                ? value.join(", ")
                : String(value);
      const source =
        answered.state === "set" && answered.source !== "configured" ? ` (${answered.source})` : "";
      return `  ${fullKey(question).padEnd(34)}${shown}${source}`;
    });
  return [
    `Stack ${stack} (${file})${written ? ", as it is now" : check || changed.length === 0 ? "" : ", as it would be"}:`,
    ...lines,
    ...(findings.length === 0 ? [] : ["Checked:", ...findings.map(printFinding)]),
  ].join("\n");
}
