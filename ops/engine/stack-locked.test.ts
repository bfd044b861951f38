import assert from "node:assert/strict";
import { test } from "node:test";
import { destroyStack } from "../cluster/close.ts";
import { stateTypes } from "../cluster/labelled.ts";
import type { ClusterParts } from "../cluster/parts.ts";
import { StackEngineError, StackLockedError } from "./stack-engine.ts";

test("after a destroy that another run's lease refused, nothing is removed by label: that run may be making it", async () => {
  for (const [error, expected] of [
    [new StackLockedError("another run works on the stack"), 0],
    [new StackEngineError("something is in use"), 1],
  ] as const) {
    const server = { urn: "urn:x::nodes-k3s-control", type: stateTypes.servers, name: "nodes-k3s-control" };
    const parts = {
      stack: "dev",
      engine: {
        state: () =>
          Promise.resolve({ resources: [{ ...server, id: "1" }], pending: [], cluster: undefined }),
        destroy: () => Promise.reject(error),
      },
      reporter: { note: () => undefined, progress: () => undefined },
      signal: new AbortController().signal,
    } as unknown as ClusterParts;
    let cleared = 0;
    await assert.rejects(
      destroyStack(parts, () => {
        cleared += 1;
        return Promise.resolve(false);
      }),
      error,
    );
    assert.equal(cleared, expected);
  }
});
