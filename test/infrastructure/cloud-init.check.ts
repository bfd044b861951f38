/** The real cloud-init takes the user data of every node that the program can make. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, describe, test } from "node:test";
import { renderCloudConfig, userDataLimit } from "../../components/cloud-init/cloud-config.ts";
import { type CloudInit, installCloudInit } from "./cloud-init-tool.ts";
import { everyNode } from "./node-plans.ts";

const installed = await installCloudInit();
const skip = typeof installed === "string" ? `cloud-init cannot be fetched here: ${installed}` : false;
if (skip !== false) console.error(skip);
const cloudInit = installed as CloudInit;
const folder = mkdtempSync(path.join(tmpdir(), "cloud-init-check-"));
after(() => rmSync(folder, { recursive: true, force: true }));

function written(name: string, text: string): string {
  const file = path.join(folder, `${name.replaceAll(/\W+/g, "-")}.yaml`);
  writeFileSync(file, text, { mode: 0o600 });
  return file;
}

describe("user data and cloud-init", { skip }, () => {
  for (const { name, config } of everyNode()) {
    test(name, async () => {
      const text = renderCloudConfig(config);
      assert.ok(Buffer.byteLength(text) < userDataLimit, `${Buffer.byteLength(text)} bytes`);
      const checked = await cloudInit.checkSchema(written(name, text));
      assert.equal(checked.code, 0, checked.output);
      assert.match(checked.output, /Valid cloud-config/);
    });
  }

  test("every key is one that cloud-init knows: it does not refuse others by itself", () => {
    const [node] = everyNode();
    for (const key of Object.keys(node?.config ?? {})) {
      assert.ok(cloudInit.schema.includes(`"${key}":`), `${key} stands nowhere in the schema`);
    }
  });

  test("the check is able to fail", async () => {
    const [node] = everyNode();
    const broken = { ...node?.config, bootcmd: 3 };
    const checked = await cloudInit.checkSchema(
      written("broken", `#cloud-config\n${JSON.stringify(broken)}\n`),
    );
    assert.equal(checked.code, 1);
    assert.match(checked.output, /bootcmd: 3 is not of type 'array'/);
  });
});
