/** The dialogue: asks for what is missing or wrong, group by group, and checks each before the next. */
import { readFile } from "node:fs/promises";
import { ownAddress, parseAddressService } from "../admit/address.ts";
import { checkGroup, questionsOf } from "./checks.ts";
import type { CheckContext } from "./check.ts";
import { type Finding, type Group, groups, isBad, printFinding } from "./finding.ts";
import { fullKey, type Question } from "./questions.ts";
import type { Dialogue } from "./terminal.ts";

/** What a dialogue needs beside what checks need. */
export interface ConversationArguments extends CheckContext {
  dialogue: Dialogue;
  /** Whether what is set is asked for, too. */
  all: boolean;
  /** Who is asked for this machine's address when that is wished. */
  addressService: string;
}

const titles: Readonly<Record<Group, string>> = {
  hetzner: "Hetzner Cloud",
  access: "Who may reach the servers",
  archive: "The archive",
  delivery: "Delivery of the services",
  alpaca: "Alpaca",
  near: "NEAR Intents",
  schedule: "The trading day",
};

/**
 * Fills the draft.
 * @returns the findings of the last check of each group; what is bad among them the person wishes to keep
 * @throws the signal's reason; UsageError when the input ends
 */
export async function converse(args: ConversationArguments): Promise<Finding[]> {
  const findings: Finding[] = [];
  for (const [index, group] of groups.entries()) {
    args.dialogue.say(`\n${index + 1} of ${groups.length}: ${titles[group]}`);
    findings.push(...(await fill(group, args)));
  }
  return findings;
}

/** Asks and checks until all is right, or what nobody could check is to be kept. */
async function fill(group: Group, args: ConversationArguments): Promise<Finding[]> {
  const { dialogue, draft, all } = args;
  let again = new Set(all ? questionsOf(group, args).map(fullKey) : []);
  for (const { path, secret = false, ...question } of questionsOf(group, args)) {
    const answered = draft.answered({ path, ...question });
    if (answered.state !== "set") continue;
    const source = answered.source === "configured" ? "" : ` (${answered.source})`;
    dialogue.say(`  ${fullKey({ path })}: ${secret ? "set" : shownValue(draft.get(path))}${source}`);
  }
  for (;;) {
    // Read anew each time: an answer can make another question needed.
    const asked = new Set<Question>();
    for (;;) {
      const next = questionsOf(group, args).find(
        (question) =>
          !asked.has(question) && (again.has(fullKey(question)) || draft.answered(question).state !== "set"),
      );
      if (next === undefined) break;
      asked.add(next);
      await ask(next, args);
    }
    const findings = await checkGroup(group, args);
    for (const found of findings) dialogue.say(printFinding(found));
    const bad = findings.filter(isBad);
    if (bad.length === 0) return findings;
    const keys = new Set(bad.flatMap((found) => found.keys.map((key) => `trading:${key}`)));
    const onlyUnreachable = bad.every(({ verdict }) => verdict === "unreachable");
    const choice = await choose(dialogue, [
      ["a", "answer again"],
      ["c", "check again"],
      ...(onlyUnreachable ? ([["k", "keep it unchecked"]] as const) : []),
    ]);
    if (choice === "k") return findings;
    again = choice === "a" ? keys : new Set();
  }
}

async function choose<Letter extends string>(
  dialogue: Dialogue,
  choices: readonly (readonly [Letter, string])[],
): Promise<Letter> {
  const offered = choices.map(([letter, meaning]) => `${letter} = ${meaning}`).join(", ");
  for (;;) {
    const answer = await dialogue.ask(`${offered} (Ctrl-C ends, and writes nothing): `);
    const chosen = choices.find(([letter]) => letter === answer.toLowerCase());
    if (chosen !== undefined) return chosen[0];
  }
}

/** Asks one question until the answer does. */
async function ask(question: Question, args: ConversationArguments): Promise<void> {
  const { dialogue, draft } = args;
  const { path, label, hint, secret = false, optional = false } = question;
  const before = draft.answered(question);
  if (hint !== undefined) dialogue.say(hint);
  if (before.state === "wrong") dialogue.say(`What is set does not do; expected ${before.allowed}.`);
  const proposal =
    before.state === "set" ? undefined : (question.proposal?.(draft) ?? (optional ? "" : undefined));
  const shown =
    before.state === "set"
      ? ` [${secret ? "set" : shownValue(draft.get(path))}; Enter keeps it]`
      : proposal === undefined || proposal === ""
        ? ""
        : ` [${proposal}]`;
  // A private key has many lines, so its file is asked for.
  const isFile = path[0] === "gitSshKey";
  for (;;) {
    const typed = await dialogue.ask(`${label}${shown}: `, secret && !isFile);
    if (typed === "" && before.state === "set") return;
    const answer = typed === "" ? proposal : typed;
    if (answer === "" && optional) return;
    if (answer === undefined) continue;
    const value = await valueOf(question, answer, isFile, args);
    if (value === undefined) continue;
    const objection = draft.objectionTo(question, value);
    if (objection === undefined) return draft.set(path, value, "typed");
    dialogue.say(`  expected ${objection}`);
  }
}

function shownValue(value: unknown): string {
  return Array.isArray(value) ? value.join(", ") : typeof value === "string" ? value : JSON.stringify(value);
}

/** @returns undefined when there is none, after having said so */
async function valueOf(
  question: Question,
  answer: string,
  isFile: boolean,
  { dialogue, addressService, signal }: ConversationArguments,
): Promise<unknown> {
  try {
    if (isFile) return await readFile(answer, "utf8");
    if (question.path[0] !== "adminCidrs" || answer !== "detect") return question.read?.(answer) ?? answer;
    const network = await ownAddress(parseAddressService(addressService), signal);
    dialogue.say(`  ${addressService} sees this machine as ${network}.`);
    const isRight = await choose(dialogue, [
      ["y", "take it"],
      ["n", "answer otherwise"],
    ]);
    return isRight === "y" ? [network] : undefined;
  } catch (error) {
    signal.throwIfAborted();
    dialogue.say(`  ${(error as Error).message}`);
    return undefined;
  }
}
