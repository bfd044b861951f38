/** Asynchronous actions: https://docs.hetzner.cloud/reference/cloud#actions */
import type { Changes } from "../changes.ts";
import type { SimulatedClock } from "../clock.ts";
import type { Latency, TimedStep } from "../durations.ts";
import { ApiError } from "../errors.ts";
import type { Faults } from "../faults/faults.ts";
import type { Timeline } from "./timeline.ts";

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
  /** When its own work began: a next action waits for the one before it. In ms of the simulator's clock. */
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
  /** What becomes true when it ends in error, for example that what was reserved is free again. */
  failed?: () => void;
}

export interface ActionLogArguments {
  nextId: () => number;
  latency: Latency;
  changes: Changes;
  clock: SimulatedClock;
  faults: Faults;
  timeline: Timeline;
  /** The name of a resource, as long as the project knows it. */
  nameOf: (resource: ActionResource) => string | undefined;
}

/** All actions of a project. They outlive the resources they were about. */
export class ActionLog {
  readonly #actions = new Map<number, Action>();
  readonly #world: ActionLogArguments;

  constructor(world: ActionLogArguments) {
    this.#world = world;
  }

  /** Starts an action. It ends by itself after the time that the latency model, or a fault, gives its command. */
  start(command: TimedStep, resources: readonly ActionResource[], options: StartActionOptions = {}): Action {
    const { nextId, latency, clock, faults, nameOf } = this.#world;
    const first = resources[0];
    const subject = first === undefined ? "project" : `${first.type}/${first.id}`;
    const names = resources.map(nameOf).filter((name) => name !== undefined);
    const effect = faults.action(command, names);
    const usualMs = latency.duration(command, subject);
    const action: Action = {
      id: nextId(),
      command,
      resources,
      started: clock.date(),
      status: "running",
      finished: null,
      error: null,
      began: null,
      expectedMs: effect.takesMs ?? usualMs * (effect.factor ?? 1),
      done: Promise.resolve(),
    };
    this.#actions.set(action.id, action);
    const label = first === undefined ? subject : `${first.type}/${names[0] ?? first.id}`;
    action.done = this.#run(action, label, effect.error, options);
    return action;
  }

  async #run(
    action: Action,
    label: string,
    fault: { code: string; message: string } | undefined,
    options: StartActionOptions,
  ): Promise<void> {
    const { changes, clock, timeline } = this.#world;
    try {
      await options.after?.done;
      if (options.after?.status === "error") {
        throw new ApiError("action_failed", `${options.after.command} failed before ${action.command} began`);
      }
      action.began = clock.now();
      const ended = timeline.begin(label, action.command);
      if (fault === undefined) options.begin?.();
      changes.notify();
      // The project was closed: what is running stays running.
      if (!(await changes.pause(action.expectedMs))) return;
      ended();
      if (fault === undefined) {
        options.finish?.();
        action.status = "success";
      } else {
        action.error = fault;
      }
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      action.error = { code: error instanceof ApiError ? error.code : "server_error", message };
    }
    if (action.error !== null) {
      options.failed?.();
      action.status = "error";
    }
    action.finished = clock.date();
    changes.notify();
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
    const elapsed = action.began === null ? 0 : this.#world.clock.now() - action.began;
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
