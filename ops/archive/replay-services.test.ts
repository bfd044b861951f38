/** Which services a replay may start, with which settings, and how their end is told. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { inOrderOfFlow } from "../../services/archive/replay-rest.ts";
import { replayTopics } from "../../services/archive/replay.ts";
import { catalog } from "../../services/catalog.ts";
import { UsageError } from "../run.ts";
import { chooseServices, replayableServices, startServices } from "./replay-services.ts";
import { readSetting, serviceEnvironment } from "./replay-settings.ts";

const all = replayableServices("2025-10-14");

test("normalizers and strategies can be replayed; nothing that has secrets, and no executor", () => {
  const names = all.map(({ name }) => name);
  assert.deepEqual(
    names,
    catalog.filter(({ name }) => /^(normalize|strategy)-/.test(name)).map(({ name }) => name),
  );
  for (const name of ["executor-alpaca", "ingest-near-intents", "result-monitor", "archiver", "nobody"]) {
    assert.throws(
      () => chooseServices(all, [name]),
      (error: Error) => {
        assert.ok(error instanceof UsageError);
        assert.match(error.message, new RegExp(`found ${name}, expected some of ${names.join(", ")}`));
        return true;
      },
    );
  }
  assert.deepEqual(chooseServices(all, undefined), all);
});

test("what is fed and what is compared follows from the services", () => {
  assert.deepEqual(replayTopics(all), {
    fed: ["raw.near-intents.quote", "stock-stream-2025-10-14"],
    compared: [
      "cmd.execute_trade",
      "dead-letter",
      "norm.stock_bar",
      "norm.stock_quote",
      "norm.stock_trade",
      "norm.swap_demand",
    ],
  });
  assert.deepEqual(replayTopics(chooseServices(all, ["strategy-dummy"])), {
    fed: ["norm.stock_trade", "norm.swap_demand"],
    compared: ["cmd.execute_trade", "dead-letter"],
  });
});

test("a service is looked at after those whose topics it reads", () => {
  const names = inOrderOfFlow([...all].reverse()).map(({ name }) => name);
  assert.equal(names.at(-1), "strategy-dummy");
  const circle = [
    { name: "a", reads: ["x"], writes: ["y"] },
    { name: "b", reads: ["y"], writes: ["x"] },
  ];
  assert.throws(() => inOrderOfFlow(circle), /in a circle: a, b/);
});

test("settings: the last one counts, the replay's own cannot be set", () => {
  process.env["REPLAY_TEST_SETTING"] = "from here";
  const settings = ["A_B=1", "A_B=x=y\nz", "REPLAY_TEST_SETTING"].reduce(
    (before: ReturnType<typeof readSetting>, text) => readSetting(text, before),
    [],
  );
  const identity = { stack: "dev", businessDate: "2025-10-14", clusterId: "id" };
  const environment = serviceEnvironment(identity, ["a:1", "b:2"], settings);
  assert.equal(environment["A_B"], "x=y\nz");
  assert.equal(environment["REPLAY_TEST_SETTING"], "from here");
  assert.equal(environment["KAFKA_BROKERS"], "a:1,b:2");
  for (const wrong of ["KAFKA_BROKERS=live:9092", "STACK=prod", "lower=1", "=1", "", "NOT_THERE_AT_ALL"]) {
    assert.throws(() => readSetting(wrong), { code: "commander.invalidArgument" }, wrong);
  }
});

test("a service that cannot start: the others are ended, its words are told", async () => {
  const options = {
    environment: { LOG_LEVEL: "info" },
    logs: undefined,
    signal: AbortSignal.timeout(60_000),
  };
  const [first] = all;
  assert.ok(first);
  await assert.rejects(startServices({ ...options, services: [first] }), (error: Error) => {
    assert.equal(error.name, "ReplayServiceError");
    assert.match(error.message, /normalize-near-intents ended with 2\. .*KAFKA_BROKERS: is missing/s);
    return true;
  });
});
