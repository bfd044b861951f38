/** Asynchronous actions: https://docs.hetzner.cloud/reference/cloud#actions */
import type { Changes } from "../changes.ts";
import type { Latency, TimedStep } from "../durations.ts";
import { ApiError } from "../errors.ts";

export type ResourceKind =
  "server" | "network" | "firewall" | "primary_ip" | "image" | "ssh_key" | "placement_group";

/** A resource that an action is about. */
export interface ActionResource {
  id: number;
  type: ResourceKind;
}

/** One action as the API shows it. */
export interface ActionView {
  id: number;
  command: string;
  status: "running" | "success" | "error";
  /** Per cent. */
  progress: number;
  started: string;
  finished: string | null;
  resources: ActionResource[];
  error: { code: string; message: string } | null;
}

/** One action. */
export interface Action {
  readonly id: number;
  readonly command: TimedStep;
  readonly resources: readonly ActionResource[];
  readonly started: Date;
  status: "running" | "success" | "error";
  finished: Date | null;
  error: { code: string; message: string } | null;
  /** When its own work began: a next action waits for the one before it. In ms of `performance.now`. */
  began: number | null;
  expectedMs: number;
  /** Resolves when it has ended, either way. */
  done: Promise<void>;
}

export interface StartActionOptions {
  /** Another action that must have succeeded first; if it fails, this one fails too. */
  after?: Action;
  /** What becomes true when the work begins. */
  begin?: () => void;
  /** What becomes true at its end. An {@link ApiError} makes the action end in error. */
  finish?: () => void;
}

/** All actions of a project. They outlive the resources they were about. */
export class ActionLog {
  readonly #actions = new Map<number, Action>();
  readonly #nextId: () => number;
  readonly #latency: Latency;
  readonly #changes: Changes;

  constructor(nextId: () => number, latency: Latency, changes: Changes) {
    this.#nextId = nextId;
    this.#latency = latency;
    this.#changes = changes;
  }

  /** Starts an action. It ends by itself after the time that the latency model gives its command. */
  start(command: TimedStep, resources: readonly ActionResource[], options: StartActionOptions = {}): Action {
    const first = resources[0];
    const subject = first === undefined ? "project" : `${first.type}/${first.id}`;
    const action: Action = {
      id: this.#nextId(),
      command,
      resources,
      started: new Date(),
      status: "running",
      finished: null,
      error: null,
      began: null,
      expectedMs: this.#latency.duration(command, subject),
      done: Promise.resolve(),
    };
    this.#actions.set(action.id, action);
    action.done = this.#run(action, options);
    return action;
  }

  async #run(action: Action, options: StartActionOptions): Promise<void> {
    try {
      await options.after?.done;
      if (options.after?.status === "error") {
        throw new ApiError("action_failed", `${options.after.command} failed before ${action.command} began`);
      }
      action.began = performance.now();
      options.begin?.();
      this.#changes.notify();
      // The project was closed: what is running stays running.
      if (!(await this.#changes.pause(action.expectedMs))) return;
      options.finish?.();
      action.status = "success";
    } catch (error) {
      action.status = "error";
      const message = error instanceof Error ? error.message : String(error);
      action.error = { code: error instanceof ApiError ? error.code : "server_error", message };
    }
    action.finished = new Date();
    this.#changes.notify();
  }

  get(id: number): Action | undefined {
    return this.#actions.get(id);
  }

  all(): Action[] {
    return [...this.#actions.values()];
  }

  /** The running actions about one resource. */
  running(type: ResourceKind, id: number): Action[] {
    return this.all().filter(
      (action) =>
        action.status === "running" &&
        action.resources.some((resource) => resource.type === type && resource.id === id),
    );
  }

  view(action: Action): ActionView {
    const elapsed = action.began === null ? 0 : performance.now() - action.began;
    const share = action.expectedMs === 0 ? 0 : elapsed / action.expectedMs;
    return {
      id: action.id,
      command: action.command,
      status: action.status,
      progress: action.status === "running" ? Math.min(99, Math.floor(share * 100)) : 100,
      started: action.started.toISOString(),
      finished: action.finished?.toISOString() ?? null,
      resources: [...action.resources],
      error: action.error,
    };
  }
}
