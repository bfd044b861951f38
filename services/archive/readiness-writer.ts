/**
 * Puts into the bucket whether the cluster can trade, as the control topic tells: whoever opens it may not be able to reach
 * it, and the archiver is the only service with the bucket's keys.
 */
import { setTimeout as delay } from "node:timers/promises";
import type { ControlMessage } from "../bus/control.ts";
import { KillSwitch } from "../bus/kill-switch.ts";
import { measureSkewMs } from "../core/clock-skew.ts";
import type { Logger } from "../core/log.ts";
import { toInstant } from "../core/time.ts";
import type { ClusterArchive } from "./cluster-archive.ts";
import type { TradingReady } from "./documents.ts";
import { type ArchiveIdentity, documents } from "./layout.ts";

/** What the control topic says of readiness, message by message. */
export class ReadinessState {
  readonly #killSwitch = new KillSwitch();
  #said: Pick<TradingReady, "ready" | "readyAt" | "missing" | "canaries" | "accounts"> = {
    ready: false,
    readyAt: null,
    missing: [],
    canaries: 0,
    accounts: null,
  };
  #isClosing = false;

  /** Takes a message in; they must come in the topic's order. @returns whether it changes anything */
  apply(message: ControlMessage): boolean {
    switch (message.type) {
      case "kill_switch":
        this.#killSwitch.apply(message);
        return true;
      case "trading_ready": {
        const { at, canaries, accounts = null } = message;
        if (this.#isClosing) return false;
        this.#said = { ready: true, readyAt: at, missing: [], canaries: canaries.length, accounts };
        return true;
      }
      case "trading_not_ready":
        if (this.#isClosing) return false;
        this.#said = { ...this.#said, ready: false, missing: message.missing };
        return true;
      case "drain":
        this.#isClosing = true;
        this.#said = {
          ...this.#said,
          ready: false,
          missing: ["the day is being closed: a drain was requested"],
        };
        return true;
      case "drained":
        return false;
    }
  }

  /** The document. @param clockSkewMs see {@link TradingReady} */
  document({ stack, businessDate, clusterId }: ArchiveIdentity, clockSkewMs: number | null): TradingReady {
    return {
      stack,
      businessDate,
      clusterId,
      ...this.#said,
      stopped: this.#killSwitch.engaged.map(({ scope, reason, by, at }) => ({ scope, reason, by, at })),
      clockSkewMs,
      updatedAt: toInstant(Date.now()),
    };
  }
}

/** Arguments of {@link ReadinessWriter}. */
export interface ReadinessWriterOptions {
  archive: ClusterArchive;
  logger: Logger;
  /** Ends it. */
  signal: AbortSignal;
  /** First pause when the bucket cannot be used, in milliseconds. Default 500. */
  pauseMs?: number;
}

/** Longest pause between two tries while the bucket cannot be used. */
const longestPauseMs = 15_000;
/** A measurement of the clock is used for so long. */
const clockHoldsMs = 60_000;

/** Writes the document at each change, one write at a time, until it is written. */
export class ReadinessWriter {
  readonly #options: ReadinessWriterOptions;
  readonly #state = new ReadinessState();
  #changes = 0;
  #wake: () => void = () => undefined;
  #loop: Promise<void> | undefined;
  #clock: { skewMs: number; measuredAt: number } | undefined;

  constructor(options: ReadinessWriterOptions) {
    this.#options = options;
  }

  /** Takes a message of the control topic in; what it changes is written once {@link start} was called. */
  take(message: ControlMessage): void {
    if (!this.#state.apply(message)) return;
    this.#changes += 1;
    this.#wake();
  }

  /** Begins to write, at once: that the archiver runs is worth knowing, too. */
  start(): void {
    this.#loop ??= this.#run();
  }

  /** Resolves when nothing is written any more; the signal must have been given. */
  async stop(): Promise<void> {
    await this.#loop;
  }

  /** Never rejects. */
  async #run(): Promise<void> {
    const { signal } = this.#options;
    const ended = new Promise<void>((resolve) => {
      signal.addEventListener("abort", () => resolve(), { once: true });
    });
    while (!signal.aborted) {
      const changes = this.#changes;
      await this.#write();
      while (this.#changes === changes && !signal.aborted) {
        const changed = new Promise<void>((resolve) => (this.#wake = resolve));
        await Promise.race([changed, ended]);
      }
    }
  }

  async #write(): Promise<void> {
    const { archive, logger, signal, pauseMs = 500 } = this.#options;
    for (let pause = pauseMs; !signal.aborted; pause = Math.min(pause * 2, longestPauseMs)) {
      try {
        const skewMs = await this.#skewMs();
        const document = this.#state.document(archive.identity, skewMs);
        await archive.write(documents.ready, document);
        const { ready, missing, stopped } = document;
        logger.info({ ready, missing, stopped: stopped.length, clockSkewMs: skewMs }, "readiness written");
        return;
      } catch (error) {
        if (signal.aborted) return;
        logger.warn({ err: error, pauseMs: pause }, "readiness could not be written, trying again");
        await delay(pause, undefined, { signal }).catch(() => undefined);
      }
    }
  }

  /** Null when the bucket's server does not tell: that alone keeps nothing from being written. */
  async #skewMs(): Promise<number | null> {
    const { archive, logger, signal } = this.#options;
    if (this.#clock !== undefined && performance.now() - this.#clock.measuredAt < clockHoldsMs)
      return this.#clock.skewMs;
    try {
      const skewMs = await measureSkewMs(() => archive.store.askTime(), signal);
      this.#clock = { skewMs, measuredAt: performance.now() };
      return skewMs;
    } catch (error) {
      if (!signal.aborted) logger.warn({ err: error }, "the clock could not be compared with the bucket's");
      return null;
    }
  }
}
