import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test, { afterEach } from "node:test";
import * as pulumi from "@pulumi/pulumi";
import { parse } from "yaml";
import { exampleEntries } from "../components/testing/example-config.ts";
import { projectName, secretKeys } from "./config.ts";
import { readStackConfig } from "./pulumi-config.ts";

const variable = "PULUMI_CONFIG_SECRET_KEYS";
afterEach(() => {
  delete process.env[variable];
});

test("secrets become secret outputs", async () => {
  pulumi.runtime.setAllConfig(exampleEntries());
  process.env[variable] = JSON.stringify(secretKeys.map((key) => `trading:${key}`));
  const config = readStackConfig();
  assert.deepEqual(Object.keys(config.secrets).sort(), [...secretKeys].sort());
  for (const key of secretKeys) assert.equal(await pulumi.isSecret(config.secrets[key]), true, key);
});

test("a mistake ends the program with its message alone", () => {
  pulumi.runtime.setAllConfig(exampleEntries({ "trading:openHours": "25" }));
  assert.throws(readStackConfig, (error: unknown) => {
    assert.ok(pulumi.RunError.isInstance(error));
    assert.match(error.message, /trading:openHours[\s\S]*1 to 24/);
    return true;
  });
});

test("a secret that the engine does not hold encrypted is refused", () => {
  pulumi.runtime.setAllConfig(exampleEntries());
  process.env[variable] = "[]";
  assert.throws(readStackConfig, /8 mistakes[\s\S]*in clear/);
});

test("the project runs its TypeScript as it is", () => {
  const project = parse(readFileSync(new URL("../Pulumi.yaml", import.meta.url), "utf8")) as Record<
    string,
    unknown
  >;
  assert.equal(project["name"], projectName);
  assert.deepEqual(project["runtime"], {
    name: "nodejs",
    options: { typescript: false, nodeargs: "--import tsx" },
  });
});
