import assert from "node:assert/strict";
import { test } from "node:test";
import { compareBook, type ReportedExecution, type VenueBook } from "./books.ts";

const filled = (order: string, amount = "2", status = "FILLED"): ReportedExecution => ({
  venue: "alpaca",
  order,
  amount,
  command: `command of ${order}`,
  status,
});

const book = (...executions: VenueBook["executions"][number][]): VenueBook => ({
  venue: "alpaca",
  executions,
  repeated: 0,
});

test("a book that the results agree with has no difference; other venues' results are not its business", () => {
  const check = compareBook(book({ order: "a", amount: "2" }, { order: "b", amount: "1" }), [
    filled("b", "1.0", "CANCELED"),
    filled("a"),
    { ...filled("q", "5 for 4"), venue: "near-intents" },
  ]);
  assert.deepEqual(check, { venue: "alpaca", executed: 2, twice: 0, differences: [] });
});

test("one order executed twice, one action by two orders, and an order sent again all count", () => {
  const twice = book({ order: "a", amount: "2" }, { order: "a", amount: "2" });
  assert.equal(compareBook(twice, [filled("a")]).twice, 1);
  const action = book(
    { order: "a", amount: "2", action: "quote" },
    { order: "b", amount: "2", action: "quote" },
  );
  assert.equal(compareBook(action, [filled("a"), filled("b")]).twice, 1);
  assert.equal(compareBook({ ...book(), repeated: 3 }, []).twice, 3);
});

test("an execution without a result, a result without an execution and another amount are told by name", () => {
  const executed = book({ order: "a", amount: "2" }, { order: "b", amount: "1" });
  const { differences } = compareBook(executed, [filled("b", "3"), filled("c")]);
  assert.deepEqual(differences, [
    "alpaca executed a (2), no result says so",
    "alpaca executed 1 of b, the result of command command of b says 3",
    "command command of c is FILLED at alpaca, whose book has no execution of c",
  ]);
});
