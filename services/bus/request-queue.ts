/**
 * Takes a busy loop out of kafkajs 2.2.4. Its queue of requests re-arms the timer that looks for waiting requests
 * whether any wait or not, with a negative time, which counts as 1 ms: an idle connection wakes the process a
 * thousand times a second (measured: 4 % of a core for each service that has nothing to do).
 */
import { createRequire } from "node:module";

/** The part of kafkajs's queue that is concerned. */
interface RequestQueue {
  /** Requests that wait for others to be answered, or for the broker's throttling to end. */
  pending: readonly unknown[];
  /** Milliseconds since the epoch; -1 when the broker does not throttle. */
  throttledUntil: number;
  throttleCheckTimeoutId: NodeJS.Timeout | null;
  checkPendingRequests(): void;
  scheduleCheckPendingRequests(): void;
}

/** When to look again for waiting requests although nothing throttles: kafkajs's own value, in milliseconds. */
const checkMs = 10;

const { prototype } = createRequire(import.meta.url)("kafkajs/src/network/requestQueue") as {
  prototype: RequestQueue;
};
if (typeof prototype.scheduleCheckPendingRequests !== "function") {
  throw new Error("this is not the kafkajs that services/bus/request-queue.ts corrects; pin kafkajs 2.2.4");
}

prototype.scheduleCheckPendingRequests = function (this: RequestQueue): void {
  // Without waiting requests there is nothing to look for: a request that has to wait calls this again.
  if (this.throttleCheckTimeoutId !== null || this.pending.length === 0) return;
  const throttledMs = this.throttledUntil - Date.now();
  this.throttleCheckTimeoutId = setTimeout(
    () => {
      this.throttleCheckTimeoutId = null;
      this.checkPendingRequests();
    },
    throttledMs > 0 ? throttledMs : checkMs,
  );
};
