import assert from "node:assert/strict";
import { test } from "node:test";
import { exitCodes } from "./exit-codes.ts";
import { RefusedError, type Run, runs, UsageError } from "./run.ts";

/** Says, as typed errors do, what is to be done. */
class StoppedError extends Error {
  override readonly name = "StoppedError";
}

/** Runs a command's handler in this process. */
async function play(work: (run: Run) => Promise<0>): Promise<{ code: unknown; told: string }> {
  const { exitCode } = process;
  const write = process.stderr.write.bind(process.stderr);
  let told = "";
  process.stderr.write = (text: string | Uint8Array) => {
    told += String(text);
    return true;
  };
  try {
    // A grace that no test reaches: it would end the test's own process.
    await runs(work, { interruptGraceMs: 600_000 })();
    return { code: process.exitCode, told };
  } finally {
    process.stderr.write = write;
    process.exitCode = exitCode;
  }
}

test("errors become messages and exit codes; what nobody foresaw keeps its stack", async () => {
  const fails = (error: Error) => play(() => Promise.reject(error));
  assert.deepEqual(await fails(new UsageError("say more")), { code: exitCodes.usage, told: "say more\n" });
  assert.deepEqual(await fails(new RefusedError("not sealed")), {
    code: exitCodes.refused,
    told: "not sealed\n",
  });
  assert.deepEqual(await fails(new StoppedError("no")), { code: exitCodes.failed, told: "no\n" });
  assert.match((await fails(new Error("odd"))).told, /^Error: odd\n\s+at /);
});

for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const)
  test(`${signal} reaches the work, and what it says of its end is told`, async () => {
    const listeners = process.listenerCount(signal);
    const { code, told } = await play(async (run) => {
      process.emit(signal, signal);
      assert.equal(run.signal.aborted, true);
      return Promise.reject(new StoppedError("up was stopped; run it again"));
    });
    assert.equal(code, exitCodes.interrupted);
    assert.match(told, new RegExp(`${signal}: stopping[^]*\\ninterrupted: up was stopped; run it again\\n$`));
    assert.equal(process.listenerCount(signal), listeners);
    const plain = await play((run) => {
      process.emit(signal, signal);
      return Promise.reject(run.signal.reason as Error);
    });
    assert.match(plain.told, /\ninterrupted\n$/);
  });

test("the same signal twice at once, as npm passes it on, is one; a later one ends at once", async (t) => {
  const exit = t.mock.method(process, "exit", () => undefined);
  const now = t.mock.method(performance, "now", () => 10_000);
  await play((run) => {
    process.emit("SIGINT", "SIGINT");
    now.mock.mockImplementation(() => 10_010);
    process.emit("SIGINT", "SIGINT");
    assert.equal(exit.mock.callCount(), 0);
    now.mock.mockImplementation(() => 12_000);
    process.emit("SIGINT", "SIGINT");
    assert.deepEqual(
      exit.mock.calls.map(({ arguments: args }) => args),
      [[exitCodes.interrupted]],
    );
    return Promise.reject(run.signal.reason as Error);
  });
});
