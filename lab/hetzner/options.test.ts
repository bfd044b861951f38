import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, test } from "node:test";
import { readHetznerOptions } from "./options.ts";

const directory = mkdtempSync(path.join(tmpdir(), "hetzner-options-"));
after(() => rmSync(directory, { recursive: true, force: true }));

function planFile(text: string): string {
  const file = path.join(directory, `${Math.random()}.json`);
  writeFileSync(file, text);
  return file;
}

test("every option is read", () => {
  const mistakes: string[] = [];
  const plan = { rules: [{ at: "boot", server: "dev-*", effect: { kind: "hangs", at: "ssh" } }] };
  const options = readHetznerOptions(
    "hetzner",
    {
      latency: "model",
      speed: "12.5",
      faults: planFile(JSON.stringify(plan)),
      stock: "cpx32/fsn1=sold-out, cx33/fsn1=available",
    },
    mistakes,
  );
  assert.deepEqual(mistakes, []);
  assert.deepEqual(options, {
    latency: "model",
    speed: 12.5,
    faults: plan,
    stock: { cpx32: { fsn1: "sold-out" }, cx33: { fsn1: "available" } },
  });
  assert.deepEqual(readHetznerOptions("hetzner", {}, mistakes), {});
  assert.deepEqual(readHetznerOptions("alpaca", { faults: "reject=0.1" }, mistakes), {});
  assert.deepEqual(mistakes, []);
});

test("all mistakes are named together", () => {
  const mistakes: string[] = [];
  const wrong = planFile(
    '{"rules": [{"at": "request", "effect": {"kind": "http", "status": 418}}, {"at": "action", "command": "brew"}]}',
  );
  readHetznerOptions(
    "hetzner",
    { latency: "slow", speed: "0", faults: wrong, stock: "cpx99/fsn1=sold-out,cpx32=full,cx33/mars=retired" },
    mistakes,
  );
  const all = mistakes.join("\n");
  for (const part of [
    /--latency: found "slow", expected fast or model/,
    /--speed: found "0", expected a number above 0/,
    /--faults: .*rules\.0\.effect\.status/,
    /--faults: .*rules\.1\.command: no action of the simulator is named 'brew'/,
    /--stock: found "cpx32=full"/,
    /--stock: unknown server type 'cpx99'/,
    /--stock: unknown location 'mars'/,
  ])
    assert.match(all, part);

  const others: string[] = [];
  readHetznerOptions("kafka", { speed: "2", stock: "x", latency: "fast" }, others);
  assert.equal(others.length, 3);
  const missing: string[] = [];
  readHetznerOptions("hetzner", { faults: "/nowhere/plan.json" }, missing);
  assert.match(missing.join(), /--faults: ENOENT/);
  const unreadable: string[] = [];
  readHetznerOptions("hetzner", { faults: planFile("{") }, unreadable);
  assert.equal(unreadable.length, 1);
});
