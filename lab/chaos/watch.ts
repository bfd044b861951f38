/** What is known while a run goes on: how many commands and results there are, and when an intent or an order appears. */
import { setTimeout as delay } from "node:timers/promises";
import type { LogRecord } from "../../services/bus/kafka-log.ts";
import type { ChaosWorld } from "./world.ts";
import { names } from "./world.ts";

/** The fields of our events that a live look needs; the judge checks them properly. */
interface Glance {
  venue?: unknown;
  payload?: { command_id?: unknown; state?: unknown; instruction?: { kind?: unknown } };
}

/** Between two looks at a venue's book, in milliseconds. */
const orderPollMs = 5;

/** See the module's description. */
export class Watch {
  readonly #commands = new Set<string>();
  readonly #results = new Set<string>();
  #intents = new Map<string, number>();
  #waiters: { venue: string; resolve: () => void }[] = [];
  #raw = 0;

  /** Distinct commands, canaries left out. */
  get commands(): number {
    return this.#commands.size;
  }

  /** Commands with a result. */
  get results(): number {
    return [...this.#results].filter((id) => this.#commands.has(id)).length;
  }

  /** Raw records, repeats and poison included. */
  get raw(): number {
    return this.#raw;
  }

  /** Intents in the journal, by venue. */
  intents(venue: string): number {
    return this.#intents.get(venue) ?? 0;
  }

  /** Takes a record of any topic in. */
  take(record: LogRecord): void {
    if (record.topic === names.rawNear || record.topic === names.rawAlpaca) {
      this.#raw++;
      return;
    }
    if (![names.commands, names.results, names.journal].some((topic) => topic === record.topic)) return;
    const { venue, payload } = glance(record);
    const id = payload?.command_id;
    if (typeof id !== "string") return;
    if (record.topic === names.results) this.#results.add(id);
    else if (record.topic === names.commands) {
      const kind = payload?.instruction?.kind;
      if (kind !== undefined && kind !== "canary") this.#commands.add(id);
    } else if (payload?.state === "INTENT" && typeof venue === "string") {
      this.#intents.set(venue, this.intents(venue) + 1);
      const struck = this.#waiters.filter((waiter) => waiter.venue === venue);
      this.#waiters = this.#waiters.filter((waiter) => waiter.venue !== venue);
      for (const { resolve } of struck) resolve();
    }
  }

  /** Resolves behind the next intent of a venue, or after `deadlineMs`. */
  async intent(venue: string, deadlineMs: number, signal: AbortSignal): Promise<void> {
    await Promise.race([
      new Promise<void>((resolve) => this.#waiters.push({ venue, resolve })),
      delay(deadlineMs, undefined, { signal }).catch(() => undefined),
    ]);
  }
}

/** Resolves behind the next order that a venue takes, or after `deadlineMs`. */
export async function nextOrder(
  world: Pick<ChaosWorld, "near" | "alpaca">,
  venue: string,
  deadlineMs: number,
  signal: AbortSignal,
): Promise<void> {
  const count = () => (venue === "alpaca" ? world.alpaca.orders().length : world.near.book().settled.length);
  const before = count();
  const end = performance.now() + deadlineMs;
  while (count() === before && performance.now() < end && !signal.aborted) {
    await delay(orderPollMs, undefined, { signal }).catch(() => undefined);
  }
}

function glance(record: LogRecord): Glance {
  try {
    const value: unknown = JSON.parse(record.value?.toString("utf8") ?? "null");
    return typeof value === "object" && value !== null ? value : {};
  } catch {
    return {};
  }
}
