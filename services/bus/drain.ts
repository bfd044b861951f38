/**
 * The drain: before a cluster's topics are sealed in the archive, every service stops in the order of the
 * data's flow and says so on the `control` topic. The archiver asks (`drain`), each service waits until all
 * that write to its inputs have answered (`drained`), consumes to the end, and answers itself. A cluster that
 * was asked once stays drained: ingestors never connect again, the others have nothing left to read.
 */
import type { Kafka } from "kafkajs";
import type { ServiceContext } from "../core/service.ts";
import { toInstant } from "../core/time.ts";
import { type ControlMessage, controlRecord, followControl } from "./control.ts";
import type { BatchingProducer } from "./producer.ts";

/** What the control topic says so far: which drains were requested, and who has answered them. */
export class DrainState {
  readonly #answers = new Map<string, Set<string>>();
  readonly #requests: string[] = [];
  #waiters: { requestId: string; services: readonly string[]; resolve: () => void }[] = [];

  /** Requests in the order they came. */
  get requests(): readonly string[] {
    return this.#requests;
  }

  /** Takes one message in. @returns the id of a drain request not seen before. */
  apply(message: ControlMessage): string | undefined {
    switch (message.type) {
      case "drain":
        if (this.#requests.includes(message.requestId)) return undefined;
        this.#requests.push(message.requestId);
        return message.requestId;
      case "drained": {
        const answers = this.#answers.get(message.requestId) ?? new Set<string>();
        answers.add(message.service);
        this.#answers.set(message.requestId, answers);
        this.#waiters = this.#waiters.filter((waiter) => {
          if (this.unanswered(waiter.requestId, waiter.services).length > 0) return true;
          waiter.resolve();
          return false;
        });
        return undefined;
      }
      default:
        return undefined;
    }
  }

  /** Those of `services` that have not answered a request. */
  unanswered(requestId: string, services: readonly string[]): string[] {
    return services.filter((service) => this.#answers.get(requestId)?.has(service) !== true);
  }

  /** Resolves when all of `services` have answered a request. */
  answered(requestId: string, services: readonly string[]): Promise<void> {
    if (this.unanswered(requestId, services).length === 0) return Promise.resolve();
    return new Promise((resolve) => this.#waiters.push({ requestId, services, resolve }));
  }
}

/** Arguments of {@link startDrain}. */
export interface DrainOptions {
  kafka: Kafka;
  producer: BatchingProducer;
  context: ServiceContext;
  /**
   * Finishes the work: called for each request, one after the other, when all of DRAIN_AFTER have answered it.
   * After it resolves, everything queued in the producer is flushed and `drained` is published. Rejecting is fatal.
   */
  drain(signal: AbortSignal): Promise<void>;
  /**
   * Called for every control message, those from before the start included, in order: so that a service which acts on
   * others than the drain needs no reader of its own. Those from before the start come before {@link startDrain}
   * resolves. Throwing is fatal.
   */
  onMessage?(message: ControlMessage): void;
}

/** The service's part in the drain. */
export interface Drain {
  /** Whether a drain of this cluster had been requested before this service started. */
  readonly requestedBefore: boolean;
}

/**
 * Reads the control topic to its end, then follows it and answers drain requests until the service stops.
 * Requests that an earlier life of this service left unanswered are answered, answered ones are left alone.
 * @throws KafkaJSError when the control topic does not exist or no broker answers.
 */
export async function startDrain(options: DrainOptions): Promise<Drain> {
  const { context, producer } = options;
  const service = context.settings.SERVICE_NAME;
  const state = new DrainState();
  let caughtUp = false;
  let work = Promise.resolve();

  const answer = (requestId: string): void => {
    work = work.then(async () => {
      if (context.signal.aborted || state.unanswered(requestId, [service]).length === 0) return;
      context.logger.info({ requestId, after: context.settings.DRAIN_AFTER }, "drain requested");
      await state.answered(requestId, context.settings.DRAIN_AFTER);
      await options.drain(context.signal);
      await producer.flush();
      await producer.send(
        controlRecord({ type: "drained", service, requestId, at: toInstant(Date.now()) }, service),
      );
      context.logger.info({ requestId }, "drained");
    });
    work.catch((error: unknown) => {
      if (!context.signal.aborted) context.fatal(error);
    });
  };

  const follower = await followControl({
    kafka: options.kafka,
    context,
    onMessage: (message) => {
      options.onMessage?.(message);
      const request = state.apply(message);
      if (request !== undefined && caughtUp) answer(request);
    },
  });
  context.onStop("control", () => follower.stop());
  caughtUp = true;
  const requestedBefore = state.requests.length > 0;
  for (const request of state.requests) answer(request);
  return { requestedBefore };
}
