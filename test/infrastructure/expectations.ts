/** How the checks judge a run that failed: everything that failed is expected, and says what a person needs. */
import assert from "node:assert/strict";
import type { FaultPlan, FaultRule, RequestEffect } from "../../lab/hetzner/index.ts";
import type { FailedRun, InfrastructureWorld, RunOptions } from "./world.ts";

/** By resource (its name in the program): what its message must say, each of them. */
export type Expected = Readonly<Record<string, readonly RegExp[]>>;

/** Demands that what failed is among what is expected, with all that it must say. @returns the resources */
export function judge(run: FailedRun, expected: Expected): string[] {
  assert.ok(run.failures.length > 0, "something failed");
  return run.failures.map(({ resource, operation, message }) => {
    const wanted = expected[resource];
    assert.ok(wanted !== undefined, `not expected: ${operation} of ${resource}: ${message}`);
    for (const pattern of wanted) assert.match(message, pattern, resource);
    return resource;
  });
}

/**
 * Repeats a run until it ends well, at most once for each fault: what fails beside each other differs from machine to machine.
 * Afterwards every fault has hit and every expected message was seen.
 */
export async function untilDone(
  world: InfrastructureWorld,
  run: "up" | "destroy",
  expected: Expected,
  options: RunOptions = {},
): Promise<void> {
  const seen = new Set<string>();
  for (let attempt = 0; ; attempt += 1) {
    const outcome = await world.attempt(run, options);
    if (outcome === undefined) break;
    for (const resource of judge(outcome, expected)) seen.add(resource);
    assert.ok(attempt < Object.keys(expected).length, `${run} does not come to its end`);
  }
  assert.deepEqual([...seen].sort(), Object.keys(expected).sort(), "each failed once");
  demandHits(world);
}

/** Demands that every fault of the plan has happened. */
export function demandHits(world: InfrastructureWorld): void {
  const idle = world.hetzner.faults.report().filter(({ hit }) => hit === 0);
  assert.deepEqual(
    idle.map(({ rule }) => rule),
    [],
    "every fault happened",
  );
}

/** A fault of the request that changes something at a path. */
export function onRequest(
  path: string,
  effect: RequestEffect,
  more: Partial<Pick<Extract<FaultRule, { at: "request" }>, "method" | "body" | "when">> = {},
): FaultRule {
  return { at: "request", method: "POST", path, effect, ...more };
}

/** An action about one resource that ends in error, once. */
export function failingAction(command: string, resource: string): FaultRule {
  const error = { code: "action_failed", message: `made to fail: ${command} of ${resource}` };
  return { at: "action", command, resource, when: { times: 1 }, effect: { error } };
}

/** The same rules, each once only. */
export function once(rules: readonly FaultRule[]): FaultPlan {
  return { rules: rules.map((rule) => ({ ...rule, when: { ...rule.when, times: 1 } })) };
}
