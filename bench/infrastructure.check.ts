/**
 * The program's speed in the latency model's time, which does not depend on this machine: the clock moves only while
 * everything waits. Not a timed test: nothing here looks at real time.
 */
import assert from "node:assert/strict";
import test from "node:test";
import { lastOfProgram, longestChain, sequentialStages, upStages } from "./infrastructure-graph.ts";
import { runInfrastructure } from "./infrastructure-world.ts";
import { infrastructureTargets, meets, type Target } from "./targets.ts";

const { upToChain, sequentialToUp, destroySeconds, requests } = infrastructureTargets;

function demand(target: Target, figure: number, what: string): void {
  assert.ok(
    meets(target, figure),
    `${what}: ${figure.toFixed(3)}, which should be at ${target.kind} ${target.bound}`,
  );
}

test("dev comes up along the longest unavoidable chain, with few requests, and goes within a minute", async (context) => {
  const run = await runInfrastructure("dev", (line) => context.diagnostic(line), context.signal);
  const stages = upStages();
  demand(upToChain, run.readyMs / longestChain(stages).takes, "everything Ready ÷ longest chain");
  demand(
    upToChain,
    run.upMs / longestChain(stages, lastOfProgram).takes,
    "end of the program ÷ longest chain",
  );
  demand(sequentialToUp, longestChain(sequentialStages()).takes / run.readyMs, "seed 000's sequence ÷ up");
  demand(destroySeconds, run.destroyMs / 1_000, "seconds of destroy after the seal");
  demand(requests, run.requests, "API requests");
  assert.deepEqual(run.left, [], "nothing bills afterwards");
});

test("the longest chain waits for what it needs and for nothing else", () => {
  const stage = (name: string, takes: number, after: readonly string[] = []) => ({
    name,
    place: "here",
    takes,
    after,
  });
  const stages = [stage("a", 3), stage("b", 4), stage("c", 1, ["a", "b"]), stage("d", 2, ["a"])];
  assert.deepEqual(
    longestChain(stages).stages.map(({ name }) => name),
    ["b", "c"],
  );
  assert.equal(longestChain(stages, "d").takes, 5);
  assert.throws(() => longestChain([stage("a", 1, ["b"])]), /no stage is called "b"/);
  assert.throws(() => longestChain([stage("a", 1, ["b"]), stage("b", 1, ["a"])]), /waits for itself/);
});
