/** `trading guard --close` on a cluster that the whole program has made, with the real close path behind it. */
import assert from "node:assert/strict";
import { rmSync } from "node:fs";
import { after, before, test } from "node:test";
import { projectDirectory } from "../../lab/directories.ts";
import type { LabObjectStore } from "../../lab/objectstore/index.ts";
import { labStackEngine } from "../../lab/stack-engine.ts";
import { openParts } from "../../ops/cluster/parts.ts";
import { closeDay } from "../../ops/day/close-day.ts";
import { guardStack, type GuardResult } from "../../ops/guard/guard.ts";
import { openNotifier } from "../../ops/notify/notifier.ts";
import { InfrastructureWorld, quickClock, startBucket } from "../infrastructure/world.ts";
import { startEar } from "./labelled-account.ts";

let store: LabObjectStore;
before(async () => {
  store = await startBucket();
});
after(() => store.stop());

const hour = 3_600_000;

for (const [name, isStateLost] of [
  ["with its state", false],
  ["whose state is lost", true],
] as const) {
  test(`a cluster past its deadline ${name}: unsealed it stays and is told; then it is sealed, removed and told`, async () => {
    const world = await InfrastructureWorld.start({ store });
    const ear = await startEar();
    try {
      const { hetzner, inside, stack } = world;
      const { signal } = new AbortController();
      const reporter = { note: () => undefined, progress: () => undefined };
      const parts = await openParts({
        stack,
        projectDirectory,
        environment: { GATE_TIMEOUT_SECONDS: "20" },
        reporter,
        signal,
        engine: labStackEngine({ ...world.engineOptions(), clock: quickClock() }),
        patience: { pollMs: 50, firstDelayMs: 50 },
        now: () => hetzner.clock.date(),
      });
      const notifier = openNotifier({ environment: ear.environment, reporter, signal });
      const guard = (): Promise<GuardResult> =>
        guardStack(
          { ...parts, calendar: undefined, notifier },
          { close: (told, stillDue) => closeDay(parts, { notifier: told, stillDue }) },
        );
      await world.up();
      const clusterId = await world.opened();
      assert.deepEqual((await guard()).findings, [], "it has its time");
      if (isStateLost) rmSync(world.stateFile);
      hetzner.clock.advance(30 * hour);

      inside.conduct = "refuses";
      const refused = await guard();
      assert.deepEqual(
        refused.findings.map(({ kind, told }) => [kind, told]),
        [["unsealed", true]],
      );
      assert.match(refused.notClosed.join("\n"), /told to refuse/);
      assert.equal(hetzner.project.servers().length, 4);

      inside.conduct = "seals";
      const closed = await guard();
      assert.equal(closed.findings[0]?.told, false, "told a moment ago");
      assert.deepEqual(
        closed.closed.map((cluster) => cluster.split("/").at(-1)),
        [clusterId],
      );
      await world.demandEmpty();
      assert.equal((await world.archived())[0]?.sealed, true);
      assert.deepEqual((await guard()).findings, []);
      assert.deepEqual(
        ear.told.map(({ kind }) => kind),
        ["unsealed", "closed"],
      );
      assert.ok(Number(ear.told[0]?.price_per_hour_eur) > 0);
      parts.close();
    } finally {
      await Promise.all([world.stop(), ear.stop()]);
    }
  });
}
