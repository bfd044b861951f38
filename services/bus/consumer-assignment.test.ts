import assert from "node:assert/strict";
import { test } from "node:test";
import { Assignments, type Ownership } from "./consumer-assignment.ts";

const names = (owned: readonly Ownership[]) => owned.map(({ partition }) => partition).sort();

/** One join after the other, as a member sees them. */
function joining(assignments: Assignments, member: string, partitions: number[], attempts = 1) {
  for (let attempt = 0; attempt < attempts; attempt += 1) assignments.joining();
  const { revoked, assigned } = assignments.joined(member, { t: partitions });
  return { revoked: names(revoked), assigned: names(assigned) };
}

test("a partition that stays with the same member from one generation to the next is kept", () => {
  const assignments = new Assignments();
  assert.deepEqual(joining(assignments, "a", [0, 1, 2]), { revoked: [], assigned: [0, 1, 2] });
  const kept = assignments.of("t", 1);
  assert.deepEqual(joining(assignments, "a", [1]), { revoked: [0, 2], assigned: [] });
  assert.equal(assignments.of("t", 1), kept);
  assert.equal(assignments.of("t", 0), undefined);
});

test("a new member id is a break: the partition may have been another's in between", () => {
  const assignments = new Assignments();
  joining(assignments, "a", [0, 1]);
  const before = assignments.of("t", 0);
  assert.deepEqual(joining(assignments, "b", [0]), { revoked: [0, 1], assigned: [0] });
  assert.equal(before?.active, false);
  assert.notEqual(assignments.of("t", 0)?.name, before.name);
});

test("a join that was repeated is a break: a generation passed without this member's partitions", () => {
  const assignments = new Assignments();
  joining(assignments, "a", [0]);
  assert.deepEqual(joining(assignments, "a", [0], 2), { revoked: [0], assigned: [0] });
  assert.deepEqual(joining(assignments, "a", [0]), { revoked: [], assigned: [] });
});

test("it counts as ours still only by a confirmation that was asked for afterwards", async () => {
  const assignments = new Assignments();
  joining(assignments, "a", [0]);
  const owned = assignments.of("t", 0) as Ownership;
  let answer: boolean | undefined;
  const asked = owned.stillOurs().then((confirmed) => (answer = confirmed));
  owned.confirmed();
  await Promise.resolve();
  assert.equal(answer, undefined, "this one may have been on its way already");
  owned.confirmed();
  await asked;
  assert.equal(answer, true);
  const next = assignments.replace(owned);
  const refused = next.stillOurs();
  assignments.clear();
  assert.equal(await refused, false);
  assert.equal(await next.stillOurs(), false);
});
