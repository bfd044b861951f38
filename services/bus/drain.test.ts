import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { ControlMessage } from "./control.ts";
import { DrainState } from "./drain.ts";

const at = "2025-10-14T20:00:00.000Z";
const drain = (requestId: string): ControlMessage => ({ type: "drain", requestId, at });
const drained = (service: string, requestId: string): ControlMessage => ({
  type: "drained",
  service,
  requestId,
  at,
});

test("a request is new once", () => {
  const state = new DrainState();
  assert.equal(state.apply(drain("a")), "a");
  assert.equal(state.apply(drain("a")), undefined);
  assert.equal(state.apply(drain("b")), "b");
  assert.deepEqual(state.requests, ["a", "b"]);
});

test("a wait ends when all have answered that request, in whatever order", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.shuffledSubarray(["x", "y", "z"], { minLength: 3 }),
      fc.constantFrom("before", "between"),
      async (order, begin) => {
        const state = new DrainState();
        let done = false;
        const wait = () => void state.answered("r", ["x", "y", "z"]).then(() => (done = true));
        state.apply(drain("r"));
        if (begin === "before") wait();
        for (const service of order) {
          assert.equal(done, false);
          state.apply(drained(service, "other"));
          state.apply(drained(service, "r"));
          if (begin === "between" && service === order[1]) wait();
          await Promise.resolve();
          await Promise.resolve();
        }
        assert.equal(done, true);
        assert.deepEqual(state.unanswered("r", ["x", "y", "z", "late"]), ["late"]);
      },
    ),
  );
});

test("a service without predecessors waits for nobody", async () => {
  await new DrainState().answered("r", []);
});
