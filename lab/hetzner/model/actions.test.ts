import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Changes } from "../changes.ts";
import { SimulatedClock } from "../clock.ts";
import { ApiError } from "../errors.ts";
import { Faults } from "../faults/faults.ts";
import { type Action, ActionLog } from "./actions.ts";
import { Timeline } from "./timeline.ts";

let lastId = 0;
const about = [{ id: 1, type: "server" as const }];

function newLog(duration = 1, faults = new Faults()) {
  const clock = new SimulatedClock();
  const changes = new Changes(clock);
  const log = new ActionLog({
    nextId: () => (lastId += 1),
    latency: { duration: () => duration },
    changes,
    clock,
    faults,
    timeline: new Timeline(clock),
    nameOf: () => "one",
  });
  return { changes, log };
}

test("an action that cannot finish ends in error with the API's code; those after it fail and say why", async () => {
  const { log } = newLog();
  let touched = false;
  const first = log.start("create_server", about, {
    finish: () => {
      throw new ApiError("resource_unavailable", "no stock");
    },
  });
  const second = log.start("start_server", about, { after: first, begin: () => (touched = true) });
  await second.done;
  assert.deepEqual(first.error, { code: "resource_unavailable", message: "no stock" });
  assert.deepEqual(log.view(first).progress, 100);
  assert.equal(second.status, "error");
  assert.match(second.error?.message ?? "", /create_server failed before start_server began/);
  assert.equal(touched, false);
});

test("chains end in their order, whatever fails, and nothing is left running", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.boolean(), { minLength: 1, maxLength: 5 }), async (fails) => {
      const { log } = newLog();
      const chain: Action[] = [];
      for (const fail of fails) {
        const after = chain.at(-1);
        chain.push(
          log.start("reboot_server", about, {
            ...(after === undefined ? {} : { after }),
            finish: () => {
              if (fail) throw new ApiError("conflict", "made to fail");
            },
          }),
        );
      }
      assert.ok(chain.every(({ status }) => status === "running"));
      assert.equal(log.running("server", 1).length, chain.length);
      await Promise.all(chain.map(({ done }) => done));
      const failedAt = fails.indexOf(true);
      const expected = fails.map((_, index) => (failedAt === -1 || index < failedAt ? "success" : "error"));
      assert.deepEqual(
        chain.map(({ status }) => status),
        expected,
      );
      assert.deepEqual(log.running("server", 1), []);
      assert.ok(chain.every(({ finished }) => finished !== null));
    }),
    { numRuns: 25 },
  );
});

test("when the world ends, what runs stays running and nobody waits", async () => {
  const { changes, log } = newLog(600_000);
  let finished = false;
  const action = log.start("delete_server", about, { finish: () => (finished = true) });
  const waiting = changes.until(() => false, 600_000);
  await new Promise((resolve) => setImmediate(resolve));
  changes.end();
  await action.done;
  assert.equal(await waiting, false);
  assert.deepEqual([action.status, finished], ["running", false]);
});
