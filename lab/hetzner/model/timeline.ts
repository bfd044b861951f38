/** What took how long: the stages of each resource, for a Gantt chart of a day. */
import type { SimulatedClock } from "../clock.ts";

/** One stage of one resource. */
export interface StageSpan {
  /** `server/<name>`, `network/<name>` and so on; `api` for requests is not recorded here. */
  subject: string;
  /** An action's command (`create_server`), or a stage of a boot (`boot_until_ssh`, `k3s_agent_ready`, `image <name>`). */
  stage: string;
  /** Simulated time. */
  began: Date;
  /** null while it lasts. */
  ended: Date | null;
}

/** Records stages in the order in which they began. */
export class Timeline {
  readonly #spans: StageSpan[] = [];
  readonly #clock: SimulatedClock;

  constructor(clock: SimulatedClock) {
    this.#clock = clock;
  }

  /** A stage begins. @returns call it when the stage ends */
  begin(subject: string, stage: string): () => void {
    const span: StageSpan = { subject, stage, began: this.#clock.date(), ended: null };
    this.#spans.push(span);
    return () => {
      span.ended ??= this.#clock.date();
    };
  }

  spans(): StageSpan[] {
    return this.#spans.map((span) => ({ ...span }));
  }
}
