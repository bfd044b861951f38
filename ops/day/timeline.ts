/** What a run did to which resource and when: for the report, and for people while it goes on. */
import type { StackEngine, StackEvent } from "../engine/stack-engine.ts";

/** One operation on one resource. */
export interface TimelineEntry {
  /** `up`, `destroy` or `refresh`. */
  run: string;
  /** The name in the program. */
  name: string;
  type: string;
  /** `create`, `update`, `delete`, … */
  operation: string;
  /** Seconds since the timeline began. */
  from: number;
  /** Undefined while it is under way, or when the run ended before it. */
  to: number | undefined;
  outcome: "under way" | "done" | "failed";
}

/** See the module's description. */
export class Timeline {
  readonly beganAt: Date;
  readonly entries: TimelineEntry[] = [];
  readonly #now: () => Date;

  constructor(now: () => Date) {
    this.#now = now;
    this.beganAt = now();
  }

  /** Seconds since the timeline began. */
  get seconds(): number {
    return (this.#now().getTime() - this.beganAt.getTime()) / 1_000;
  }

  /** Takes an event of an engine's run in. */
  take(run: string, event: StackEvent): void {
    if (event.kind !== "resource") return;
    const { name, type, operation, status } = event;
    const isSame = (entry: TimelineEntry): boolean =>
      entry.outcome === "under way" && entry.run === run && entry.name === name && entry.type === type;
    if (status === "started") {
      this.entries.push({
        run,
        name,
        type,
        operation,
        from: this.seconds,
        to: undefined,
        outcome: "under way",
      });
      return;
    }
    const begun = this.entries.findLast(isSame);
    if (begun === undefined) return;
    begun.to = this.seconds;
    begun.outcome = status;
  }
}

/** An engine whose runs are written into a timeline, too. */
export function recordedEngine(engine: StackEngine, timeline: Timeline): StackEngine {
  const listening = <Options extends { onEvent?: (event: StackEvent) => void }>(
    run: string,
    options: Options,
  ): Options => ({
    ...options,
    onEvent: (event: StackEvent) => {
      timeline.take(run, event);
      options.onEvent?.(event);
    },
  });
  return {
    description: engine.description,
    adoptsPending: engine.adoptsPending,
    config: () => engine.config(),
    settle: () => engine.settle(),
    state: () => engine.state(),
    outputs: () => engine.outputs(),
    refresh: (urns, options) => engine.refresh(urns, listening("refresh", options)),
    up: (options) => engine.up(listening("up", options)),
    destroy: (options) => engine.destroy(listening("destroy", options)),
  };
}
