/**
 * Faults of the lab's venues: what networks and overloaded venues do to an order. Drawn from a seed and from what the
 * order is called, so that the same order meets the same fault in every run, whatever else goes on.
 */
import { createRandom, type Random } from "../session/index.ts";
import { Timers } from "./timers.ts";

/** What may go wrong with the answer to an order. At most one of these happens to one call. */
export const answerFaults = [
  /** The venue takes the order and never answers. */
  "timeout_after_accept",
  /** Answered with a 5xx (NEAR's socket: internal error); nothing was taken. */
  "server_error",
  /** Answered with a 5xx (NEAR's socket: internal error) although the order was taken. */
  "error_after_accept",
  /** Answered with 429 (NEAR's socket: an error); nothing was taken. */
  "rate_limited",
  /** The connection is reset, in half of the cases before the order was taken, in the others after it. */
  "drop_socket",
] as const;
export type AnswerFault = (typeof answerFaults)[number];

/** What may go wrong with the news of an order that was taken. At most one of these happens to one order. */
export const newsFaults = [
  /** Every piece of news is sent twice. */
  "answer_twice",
  /** News of fills, settlement and other ends come late ({@link FaultPlan.lateMs}). */
  "late_result",
  /** No news are ever sent: only asking tells. */
  "no_news",
] as const;
export type NewsFault = (typeof newsFaults)[number];

export const faultKinds = [...answerFaults, ...newsFaults] as const;
export type FaultKind = (typeof faultKinds)[number];

/** What may go wrong with a question about an order. */
export const askFaults = ["timeout", "server_error", "rate_limited", "drop_socket"] as const;
export type AskFault = (typeof askFaults)[number];

/** How often which fault is to happen. */
export interface FaultPlan {
  /** Any whole number: the same seed gives the same order the same faults. */
  seed: number;
  /** Probability per order call, 0 to 1; those of the answer may add up to 1, those of the news as well. */
  rates: Partial<Record<FaultKind, number>>;
  /** Probability per question about orders (Alpaca: `GET` of orders; NEAR: `get_status`), 0 to 1; default none. */
  askRates?: Partial<Record<AskFault, number>>;
  /** How late late news are, in milliseconds; default 2,000. */
  lateMs?: number;
}

/** A fault plan that cannot be followed; the message names every mistake. */
export class FaultPlanError extends Error {
  override readonly name = "FaultPlanError";
}

const defaultLateMs = 2_000;

/** What is wrong with a plan: a sentence for each mistake. */
export function mistakesOf({ seed, rates, askRates = {}, lateMs = defaultLateMs }: FaultPlan): string[] {
  const mistakes: string[] = [];
  if (!Number.isSafeInteger(seed)) mistakes.push(`seed: found ${seed}, expected a whole number`);
  if (!(lateMs >= 0)) mistakes.push(`lateMs: found ${lateMs}, expected 0 or more`);
  const check = (name: string, given: Readonly<Record<string, number>>, groups: (readonly string[])[]) => {
    const known = groups.flat();
    for (const [kind, rate] of Object.entries(given)) {
      if (!known.includes(kind))
        mistakes.push(`${name}.${kind}: no such fault, expected one of ${known.join(", ")}`);
      else if (!(rate >= 0 && rate <= 1)) mistakes.push(`${name}.${kind}: found ${rate}, expected 0 to 1`);
    }
    for (const group of groups) {
      const sum = group.reduce((total, kind) => total + (given[kind] ?? 0), 0);
      if (sum > 1 + 1e-9) mistakes.push(`${name}: ${group.join(", ")} add up to ${sum}, expected at most 1`);
    }
  };
  check("rates", rates, [answerFaults, newsFaults]);
  check("askRates", askRates, [askFaults]);
  return mistakes;
}

const none = <Kind extends string>(kinds: readonly Kind[]) =>
  Object.fromEntries(kinds.map((kind) => [kind, 0])) as Record<Kind, number>;

/** The kind whose share of 0 to 1 the number `drawn` falls into. */
function pick<Kind extends string>(
  kinds: readonly Kind[],
  rates: Partial<Record<Kind, number>>,
  drawn: number,
): Kind | undefined {
  let end = 0;
  return kinds.find((kind) => drawn < (end += rates[kind] ?? 0));
}

/** In the place of an answer: what is to be done to the client. */
export class Obstruction {
  readonly kind: AnswerFault | AskFault;

  constructor(kind: AnswerFault | AskFault) {
    this.kind = kind;
  }
}

/** The faults of one venue, drawn and counted. */
export class Faults {
  readonly #plan: FaultPlan;
  readonly #counts = none(faultKinds);
  readonly #askCounts = none(askFaults);
  /** How often each key was drawn for: a repeated call is a call of its own. */
  readonly #calls = new Map<string, number>();
  readonly #timers = new Timers();

  /** @throws FaultPlanError */
  constructor(plan: FaultPlan = { seed: 0, rates: {} }) {
    const mistakes = mistakesOf(plan);
    if (mistakes.length > 0) throw new FaultPlanError(`The fault plan is wrong:\n  ${mistakes.join("\n  ")}`);
    this.#plan = plan;
  }

  /** How many order calls each fault happened to. */
  get counts(): Record<FaultKind, number> {
    return { ...this.#counts };
  }

  /** How many questions each fault happened to. */
  get askCounts(): Record<AskFault, number> {
    return { ...this.#askCounts };
  }

  /**
   * One order call.
   * @param key what the order is called by its client; the draw depends on it and on how often it was seen.
   * @param take has the venue take the order, whose news are to meet the given fault, and says what it answers.
   * @param isTaken whether that answer means that the order was taken; otherwise it stands, and no fault is counted.
   * @returns the venue's answer, or what happens in its place.
   * @throws what `take` throws.
   */
  order<Result>(
    key: string,
    take: (news: NewsFault | undefined) => Result,
    isTaken: (result: Result) => boolean = () => true,
  ): Result | Obstruction {
    const random = this.#random("order", key);
    return this.#call(random, () => {
      const news = pick(newsFaults, this.#plan.rates, random.next());
      const result = take(news);
      const taken = isTaken(result);
      if (taken && news !== undefined) this.#counts[news]++;
      return { result, taken };
    });
  }

  /**
   * A call that changes or cancels an order: only its answer may be faulty.
   * @param key as of {@link order}.
   * @param change has the venue do it, and says what it answers.
   * @returns the venue's answer, or what happens in its place.
   * @throws what `change` throws.
   */
  change<Result>(key: string, change: () => Result): Result | Obstruction {
    return this.#call(this.#random("change", key), () => ({ result: change(), taken: true }));
  }

  /** What happens to a question about orders, if anything. @param key as of {@link order}. */
  ask(key: string): Obstruction | undefined {
    const { askRates } = this.#plan;
    if (askRates === undefined) return undefined;
    const kind = pick(askFaults, askRates, this.#random("ask", key).next());
    if (kind === undefined) return undefined;
    this.#askCounts[kind]++;
    return new Obstruction(kind);
  }

  /**
   * Sends a piece of news as its order's fault wants it.
   * @param isResult whether it tells of a fill, a settlement or another end.
   */
  deliver(news: NewsFault | undefined, isResult: boolean, send: () => void): void {
    if (news === "no_news") return;
    if (news === "late_result" && isResult) {
      return this.#timers.after(this.#plan.lateMs ?? defaultLateMs, send);
    }
    send();
    if (news === "answer_twice") send();
  }

  /** Drops what is still to be delivered. */
  close(): void {
    this.#timers.close();
  }

  #call<Result>(random: Random, perform: () => { result: Result; taken: boolean }): Result | Obstruction {
    const kind = pick(answerFaults, this.#plan.rates, random.next());
    const dropsBefore = random.next() < 0.5;
    const untaken =
      kind === "server_error" || kind === "rate_limited" || (kind === "drop_socket" && dropsBefore);
    if (untaken) return this.#obstruct(kind);
    const { result, taken } = perform();
    return kind === undefined || !taken ? result : this.#obstruct(kind);
  }

  #obstruct(kind: AnswerFault): Obstruction {
    this.#counts[kind]++;
    return new Obstruction(kind);
  }

  #random(purpose: string, key: string): Random {
    const name = `${purpose} ${key}`;
    const call = (this.#calls.get(name) ?? 0) + 1;
    this.#calls.set(name, call);
    return createRandom(this.#plan.seed, `fault of ${name} ${call}`);
  }
}
