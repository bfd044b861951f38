/** What the runner of the workflows' check takes for an expression. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { resolve } from "./runner.ts";

const contexts = { secrets: { KEY: "made-up" }, vars: {}, matrix: { stack: "dev" } };

test("expressions become what the test gives", () => {
  assert.equal(resolve("${{ matrix.stack }}/${{ secrets.KEY }}", contexts, "here"), "dev/made-up");
  assert.equal(resolve(90, contexts, "here"), "90");
});

test("one that nobody gives, and one of another form, fail", () => {
  assert.throws(
    () => resolve("${{ secrets.OTHER }}", contexts, "here"),
    /here: nobody gives \$\{\{ secrets\.OTHER \}\}/,
  );
  assert.throws(() => resolve("${{ secrets.KEY || 'x' }}", contexts, "here"), /nobody gives/);
  assert.throws(() => resolve("${{ github.token }}", contexts, "here"), /nobody gives/);
});
