import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  canMove,
  commandStates,
  IllegalTransitionError,
  isTerminal,
  move,
  type CommandState,
} from "./state.ts";

const state = fc.constantFrom(...commandStates);

test("every way ends after at most three steps before a terminal state, which is never left", () => {
  fc.assert(
    fc.property(fc.array(state, { minLength: 1, maxLength: 20 }), (wanted) => {
      let current: CommandState = "RECEIVED";
      let steps = 0;
      for (const next of wanted) {
        if (!canMove(current, next)) {
          assert.throws(() => move("c", current, next), IllegalTransitionError);
          continue;
        }
        assert.ok(!isTerminal(current));
        current = move("c", current, next);
        steps += 1;
      }
      assert.ok(steps <= 4);
    }),
    { numRuns: 1_000 },
  );
});

test("nothing is filled without an intent, and unknown is not ended by our own refusal", () => {
  for (const venueMade of ["SUBMITTED", "UNKNOWN", "FILLED", "REJECTED", "CANCELED"] as const) {
    assert.ok(!canMove("RECEIVED", venueMade));
  }
  assert.ok(!canMove("UNKNOWN", "DENIED"));
  assert.ok(!canMove("SUBMITTED", "DENIED"));
  assert.ok(commandStates.every((each) => !canMove(each, "RECEIVED")));
  // Only an order that the venue knows can be left to the next cluster, and here nothing follows.
  assert.deepEqual(
    commandStates.filter((each) => canMove(each, "CARRIED_OVER")),
    ["SUBMITTED"],
  );
  assert.ok(commandStates.every((each) => !canMove("CARRIED_OVER", each)));
});
