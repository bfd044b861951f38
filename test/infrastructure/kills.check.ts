/**
 * Runs of `up`, `destroy`, `trading open` and `trading close` are killed at random moments: what comes next converges, and
 * nothing leaks. The processes and the kills (SIGKILL) are real, and so is the S3 server; the account at Hetzner and the
 * inside of the cluster are simulated.
 *
 * `KILLS` says how many kills (default 200), `KILLS_SEED` where the seeds begin (default: anywhere). A round that fails
 * prints the line that plays it again.
 */
import assert from "node:assert/strict";
import { randomInt } from "node:crypto";
import { test } from "node:test";
import { bundlePrograms } from "./kills-bundle.ts";
import type { KillableCommand } from "./kills-child.ts";
import { measureLengths, playRound } from "./kills-round.ts";
import { startBucket } from "./world.ts";

const wanted = Number(process.env["KILLS"] ?? 200);
const firstSeed = Number(process.env["KILLS_SEED"] ?? randomInt(1_000_000_000));
const atOnce = 2;

test(`${wanted} kills at random moments: the next open or close converges, and nothing leaks`, async (context) => {
  assert.ok(Number.isInteger(wanted) && wanted > 0, "KILLS: a whole number from 1");
  assert.ok(Number.isInteger(firstSeed), "KILLS_SEED: a whole number");
  const store = await startBucket();
  const bundle = await bundlePrograms();
  const kills: Record<KillableCommand, number> = { up: 0, destroy: 0, open: 0, close: 0 };
  const total = (): number => Object.values(kills).reduce((a, b) => a + b, 0);
  let seed = firstSeed;
  let isFailed = false;
  const play = async (): Promise<void> => {
    const lengths = await measured;
    while (total() < wanted && !isFailed) {
      const own = seed++;
      try {
        const inRound = await playRound({ store, bundle, lengths, seed: own });
        for (const command of Object.keys(kills) as KillableCommand[]) kills[command] += inRound[command];
        // At once: what was played before a run of this check is cut off is known then.
        process.stderr.write(`seed ${own} played: ${total()} of ${wanted} kills\n`);
      } catch (error) {
        isFailed = true;
        const again = `KILLS=1 KILLS_SEED=${own} node --import tsx --test test/infrastructure/kills.check.ts`;
        throw new Error(`seed ${own}: ${(error as Error).message}\nAgain: ${again}`, { cause: error });
      }
    }
  };
  const measured = measureLengths({ store, bundle });
  try {
    const ends = await Promise.allSettled(Array.from({ length: atOnce }, play));
    const failures = ends.flatMap((end) => (end.status === "rejected" ? [end.reason as Error] : []));
    if (failures.length > 0) throw new Error(failures.map(({ message }) => message).join("\n\n"));
    context.diagnostic(
      `${total()} kills in ${seed - firstSeed} rounds from seed ${firstSeed}: ${JSON.stringify(kills)}`,
    );
  } finally {
    bundle.remove();
    await store.stop();
  }
});
