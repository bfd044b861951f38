/**
 * `trading open`: one cluster, whatever killed runs have left. Leftovers that never held data are removed, creations that
 * an engine can go on with are left to it, and where Hetzner has no stock the next choice of capacity is taken. It may be
 * killed anywhere and run again.
 */
import { excludes, firstChoice } from "../../components/capacity.ts";
import { StackEngineError, StackLockedError, StackRunAbortedError } from "../engine/stack-engine.ts";
import { type CapacityPlan, planCapacity } from "../plan/plan.ts";
import { RefusedError } from "../run.ts";
import { destroyWasBegun } from "./begun-destroy.ts";
import { type Cleared, clearLeftover, describeStaying, leftoversNow } from "./clear.ts";
import { destroyStack } from "./close.ts";
import { endAdmissions } from "./end-admissions.ts";
import { withEngineProgress } from "./engine-progress.ts";
import { archiveOf, type Held, whatItHeld } from "./held.ts";
import { findLabelled } from "./labelled.ts";
import { clusterName, type Leftover } from "./leftovers.ts";
import type { ClusterParts } from "./parts.ts";
import { bringStateToStandstill, wakeOpened } from "./standstill.ts";
import { exclusionsFor, judgeUpFailure } from "./up-failure.ts";
import { demandWhole, forgetVanished, isTorn } from "./vanished.ts";

/** Most choices of capacity that are tried in one run. */
const mostChoices = 4;
/** Most times in one run that a name which is taken is made free. */
const mostClearings = 2;

/** The cluster is not up; the message says why, and what stays and bills. */
export class OpenFailedError extends Error {
  override readonly name = "OpenFailedError";
}

/** A choice that could not be had. */
export interface TriedChoice {
  /** As `trading plan` names it. */
  choice: string;
  reason: string;
}

/** What opening did. */
export interface OpenResult {
  stack: string;
  clusterId: string | null;
  businessDate: string | null;
  /** The choice of capacity that the cluster has. */
  choice: string;
  /** EUR net per started hour for all servers and their addresses; null when the API names no price. */
  pricePerHour: string | null;
  /** Those before it that could not be had. */
  tried: TriedChoice[];
  /** What killed runs had left and what was removed. */
  cleared: Cleared[];
  /** A cluster that the state knew, whose destroy a killed run had begun; null when there was none. */
  finishedDestroy: string | null;
  /** The stack's outputs, without the secret ones. */
  outputs: Record<string, unknown>;
}

/** What one may choose. */
export interface OpenOptions {
  /** Whether a never-opened cluster whose `up` failed stays, to be looked at; it bills. Default: false. */
  keepFailed?: boolean;
  /** Configuration that a cluster is created with (`trading:businessDate`, `trading:expiresAt`); one that exists keeps its own. */
  forNewCluster?: Readonly<Record<string, string>>;
}

/**
 * Opens the stack's cluster.
 * @throws RefusedError when a cluster that may hold data is in the way; OpenFailedError, StackEngineError when it cannot be
 *   brought up; NoCapacityError; RemovalError; HetznerApiError; ArchiveStoreError
 */
export async function openCluster(parts: ClusterParts, options: OpenOptions = {}): Promise<OpenResult> {
  const { stack, engine, config, client, reporter } = parts;
  await engine.settle();
  const cleared: Cleared[] = [];
  const vanished = await forgetVanished(parts);
  await demandWhole(parts, vanished);
  const asleep = await wakeOpened(parts);
  const finishedDestroy = await finishDestroy(parts, isTorn(vanished) || asleep);
  /** Something was begun before this run; what an `up` makes of it is tried once. */
  let isContinued = (await engine.state()) !== undefined;
  const tried: TriedChoice[] = [];
  const excluded = [...config.excludedCapacity];
  /** The last failure for want of stock: another choice follows it. */
  let refusal: StackEngineError | undefined;
  for (let clearings = 0; ;) {
    const removed = await clearWay(parts);
    cleared.push(...removed);
    const plan = await planCapacity(client, stack, { ...config, excludedCapacity: excluded });
    if (refusal !== undefined && plan.choices.length === 0)
      throw await failed(parts, refusal, triedAdvice(tried));
    const choice = firstChoice(plan);
    const last = tried.at(-1);
    if (last !== undefined)
      reporter.note(`${last.choice} cannot be had (${last.reason}): taking the next choice`);
    reporter.note(`bringing up stack ${stack} with ${choice.name}`);
    try {
      const outputs = await bringUp(parts, excluded, options.forNewCluster);
      await endAdmissions(parts);
      const { cluster } = (await engine.state()) ?? {};
      const { clusterId = null, businessDate = null } = cluster ?? {};
      const { name, pricePerHour = null } = choice;
      return {
        stack,
        clusterId,
        businessDate,
        choice: name,
        pricePerHour,
        tried,
        cleared,
        finishedDestroy,
        outputs,
      };
    } catch (error) {
      if (!(error instanceof StackEngineError) || error instanceof StackRunAbortedError) throw error;
      if (error instanceof StackLockedError) throw error;
      const failure = judgeUpFailure(error);
      if (failure === "program") throw await mistaken(parts, error);
      // A killed engine's last request may have been carried out after the look for leftovers.
      if (failure === "name" && clearings++ < mostClearings && (await strangers(parts)).length > 0) continue;
      if (failure === "other" && isContinued && (await heldByState(parts)) === "never") {
        isContinued = false;
        reporter.note(`what a former run began could not be gone on with: beginning anew\n${error.message}`);
        await removeFailed(parts, error, false);
        continue;
      }
      const { keepFailed = false } = options;
      if (failure !== "capacity") {
        await removeFailed(parts, error, keepFailed);
        throw await failed(parts, error, failure === "limit" ? limitAdvice : "");
      }
      tried.push({ choice: choice.name, reason: reasonOf(error) });
      excluded.push(...exclusionsFor(error, choice));
      const again = tried.length < mostChoices && mayGoOn(plan, excluded, keepFailed);
      await removeFailed(parts, error, again ? false : keepFailed);
      if (!again) throw await failed(parts, error, triedAdvice(tried));
      refusal = error;
    }
  }
}

/**
 * Whether another choice may follow. Where servers had settled the location, only their removal shows what there is
 * elsewhere, and what is to be kept is not removed for that.
 */
function mayGoOn(
  { settled, choices }: CapacityPlan,
  excluded: readonly string[],
  keepFailed: boolean,
): boolean {
  if (settled !== undefined) return !keepFailed;
  return choices.some(({ name }) => !excluded.some((entry) => excludes(entry, name)));
}

/** Runs `up`. @returns the outputs */
async function bringUp(
  parts: ClusterParts,
  excluded: readonly string[],
  forNewCluster: Readonly<Record<string, string>> = {},
): Promise<Record<string, unknown>> {
  const { engine, signal, reporter } = parts;
  const isNew = (await engine.state())?.cluster === undefined;
  const config = {
    ...(excluded.length === 0 ? {} : { "trading:excludedCapacity": JSON.stringify(excluded) }),
    ...(isNew ? forNewCluster : {}),
  };
  const { outputs } = await withEngineProgress("up", reporter, (onEvent) =>
    engine.up({ signal, onEvent, config }),
  );
  return outputs;
}

/**
 * Ends a destroy that a killed run began: its cluster is partly gone, and sealed if it ever held data.
 * @param isPart whether servers that the state knew are gone, or stand still because their removal was begun
 * @returns the cluster's name
 */
async function finishDestroy(parts: ClusterParts, isPart: boolean): Promise<string | null> {
  const { engine, stack, reporter } = parts;
  const state = await engine.state();
  const held = await heldByState(parts);
  if (state?.cluster === undefined || held === undefined) return null;
  const wasNever = isPart && held === "never";
  if (!destroyWasBegun(state, held) && !wasNever) return null;
  const name = clusterName(stack, { cluster: state.cluster });
  reporter.note(`${name} was being destroyed by a run that was killed: going on with that first`);
  if (wasNever) await bringStateToStandstill(parts, state.cluster);
  await destroyStack(parts, () => makeWay(parts));
  return name;
}

async function heldByState({ engine, archiveStore, stack }: ClusterParts): Promise<Held | undefined> {
  const { cluster } = (await engine.state()) ?? {};
  return cluster && whatItHeld(archiveOf(archiveStore, stack, cluster));
}

/** Leftovers that are in the way of an `up`: those of a running cluster that hold no data are not. */
async function strangers(parts: ClusterParts): Promise<Leftover[]> {
  const found = await leftoversNow(parts);
  return found.filter(
    ({ isOfState, held, resources }) =>
      !isOfState || held === "never" || resources.some(({ holdsData }) => holdsData),
  );
}

/** Removes what is in the way. @throws RefusedError that names every cluster that must stay */
async function clearWay(parts: ClusterParts): Promise<Cleared[]> {
  const cleared: Cleared[] = [];
  const refused: string[] = [];
  for (const leftover of await strangers(parts)) {
    const { held, resources, isOfState } = leftover;
    const isOpen = held === "opened" && resources.some(({ holdsData }) => holdsData);
    if (isOpen || (isOfState && held !== "never")) {
      refused.push(await describeOpened(parts, leftover));
      continue;
    }
    try {
      cleared.push(await clearLeftover(parts, leftover));
    } catch (error) {
      if (!(error instanceof RefusedError)) throw error;
      refused.push(error.message);
    }
  }
  if (refused.length > 0) throw new RefusedError(refused.join("\n\n"));
  return cleared;
}

/** For a destroy that failed: removes and forgets what may be the reason. @returns whether there was anything */
async function makeWay(parts: ClusterParts): Promise<boolean> {
  const cleared = await clearWay(parts);
  const { forgotten } = await forgetVanished(parts);
  return cleared.length + forgotten.length > 0;
}

async function describeOpened(parts: ClusterParts, leftover: Leftover): Promise<string> {
  const { stack } = parts;
  const name = clusterName(stack, leftover);
  const word = `${stack}/${leftover.cluster?.clusterId ?? ""}`;
  return (
    `The cluster ${name} was opened, so it may hold data that is nowhere else, and the state does not know these parts of it. ` +
    `They stay. \`npm run --silent trading -- close --stack ${stack}\` asks its archiver for the seal, verifies it, and removes ` +
    `the cluster; to lose what is not archived, run that with TRADING_ALLOW_DATA_LOSS=${word}.\n` +
    (await describeStaying(parts, leftover.resources))
  );
}

/** Removes a cluster that did not come up, if it was never opened and is not to be kept. */
async function removeFailed(parts: ClusterParts, error: StackEngineError, keep: boolean): Promise<void> {
  if (keep) return;
  const { cluster } = (await parts.engine.state()) ?? {};
  const held = await heldByState(parts);
  if (held !== undefined && held !== "never") return;
  parts.reporter.note(`the cluster did not come up (${reasonOf(error)}) and was never opened: removing it`);
  try {
    if (cluster !== undefined) await bringStateToStandstill(parts, cluster);
    await destroyStack(parts, () => makeWay(parts));
    await clearWay(parts);
  } catch (second) {
    throw new OpenFailedError(
      `${error.message}\nWhat was made could not be removed: ${(second as Error).message}\n${await billing(parts)}`,
      { cause: error },
    );
  }
}

/** The program's own mistake. What is there stays and is named: with the mistake mended, the next open goes on with it. */
async function mistaken(parts: ClusterParts, error: StackEngineError): Promise<Error> {
  try {
    const left = await findLabelled(parts.client, parts.stack);
    if (left.length === 0) return error;
    return new OpenFailedError(`${error.message}\n${await describeStaying(parts, left)}`, { cause: error });
  } catch {
    // The mistake is what is to be read.
    return error;
  }
}

const limitAdvice =
  "\nThe account's limit is reached, and no other location or type changes that. Ask Hetzner for a higher one (console, " +
  "Limits), or remove what other projects of the account do not need.";

function triedAdvice(tried: readonly TriedChoice[]): string {
  const lines = tried.map(({ choice, reason }) => `  ${choice}: ${reason}`);
  return (
    `\nTried, and not to be had now:\n${lines.join("\n")}\n` +
    "Run it again later, or add to trading:locations, trading:brokerServerTypes or trading:controlPlaneServerTypes; " +
    "`npm run --silent trading -- plan` shows what is offered."
  );
}

async function failed(
  parts: ClusterParts,
  error: StackEngineError,
  advice: string,
): Promise<OpenFailedError> {
  return new OpenFailedError(`${error.message}${advice}\n${await billing(parts)}`, { cause: error });
}

/** What the stack has at Hetzner now, for the end of a message. */
async function billing(parts: ClusterParts): Promise<string> {
  const left = await findLabelled(parts.client, parts.stack);
  return left.length === 0 ? "Nothing of the stack is left at Hetzner." : describeStaying(parts, left);
}

/** The codes of the failures, or the first line of the first one. */
function reasonOf({ failures }: StackEngineError): string {
  const codes = new Set(failures.map(({ code }) => code).filter((code) => code !== undefined));
  return codes.size > 0 ? [...codes].join(", ") : (failures[0]?.message.split("\n")[0] ?? "no reason given");
}
