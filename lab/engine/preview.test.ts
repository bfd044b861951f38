import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { startHetzner } from "../hetzner/index.ts";
import { DeploymentFailedError, type PlannedOperation, preview, readState, up } from "./index.ts";
import { createProject } from "./testing/project.ts";

/** What a person reads of a plan: `<operation> <name>: <changed paths>`. */
const lines = (operations: readonly PlannedOperation[]): string[] =>
  operations.map(({ operation, name, changes, forcing }) => {
    const changed = changes.map(({ path: where }) => where).join(" ");
    return `${operation} ${name}${changed === "" ? "" : `: ${changed}`}${forcing.length === 0 ? "" : ` (${forcing.join()})`}`;
  });

test("a preview says what up then does, and touches nothing", async () => {
  const hetzner = await startHetzner({});
  const program = (version: 1 | 2, rest = ""): string => `
    import * as hcloud from "@pulumi/hcloud";
    import { local } from "@pulumi/command";
    import * as random from "@pulumi/random";
    import * as tls from "@pulumi/tls";
    const token = new pulumi.Config().requireSecret("token");
    const provider = new hcloud.Provider("hcloud", { token, endpoint: "${hetzner.endpoint}", pollFunction: "constant", pollInterval: "50ms" });
    const types = await hcloud.getServerTypes({ provider });
    const key = new tls.PrivateKey("pair", { algorithm: "ED25519" });
    const sshKey = new hcloud.SshKey("key", { name: "dev", publicKey: key.publicKeyOpenssh, labels: { version: "${version}" } }, { provider });
    const image = ${version === 1 ? '"ubuntu-24.04"' : '"debian-12"'};
    const server = new hcloud.Server("server", {
      name: "dev-server", serverType: types.serverTypes.find((type) => type.name === "cpx32")!.name, image,
      location: "fsn1", sshKeys: [sshKey.id], userData: pulumi.secret("hidden-${version}") }, { provider });
    new local.Command("inside", { create: "touch inside", delete: "touch inside-deleted" }, { deletedWith: server, dependsOn: server });
    new local.Command("address", { create: "echo $ADDRESS $VERSION", environment: { ADDRESS: server.ipv4Address, VERSION: "${version}" } });
    new random.RandomString("id", { length: 8, keepers: { version: "${version}" } });
    new random.RandomString("ignoring", { length: 8, keepers: { version: "${version}" } }, { ignoreChanges: ["keepers"] });
    ${rest}
    export const address = server.ipv4Address;
    export const known = "known";
    export const secret = pulumi.secret("hidden-${version}");
  `;
  const project = createProject(
    program(1, 'new local.Command("unwanted", { create: "true", delete: "touch unwanted-deleted" });'),
    {
      config: { token: hetzner.token },
      secretKeys: ["token"],
    },
  );
  try {
    const before = readdirSync(project.directory);
    const first = await preview(project.options);
    assert.deepEqual(
      [first.created, first.updated, first.replaced, first.deleted, first.same],
      [9, 0, 0, 0, 0],
    );
    assert.deepEqual(first.outputs, { address: "[unknown]", known: "known", secret: "[secret]" });
    assert.deepEqual(hetzner.project.billable(), []);
    assert.deepEqual(readdirSync(project.directory), before, "neither state nor lock nor a command's file");

    const made = await up(project.options);
    assert.equal(made.created, 9);
    const unchanged = await preview(project.options);
    assert.deepEqual([unchanged.same, unchanged.outputs["address"]], [9, made.outputs["address"]]);

    project.write(program(2));
    const state = readFileSync(project.stateFile);
    const files = readdirSync(project.directory);
    const changed = await preview(project.options);
    assert.deepEqual(lines(changed.operations).sort(), [
      "delete unwanted",
      "replace id: keepers.version (keepers)",
      "replace inside",
      "replace server: image userData (image,userData)",
      "same hcloud",
      "same ignoring",
      "same pair",
      "update address: environment.ADDRESS environment.VERSION",
      "update key: labels.version",
    ]);
    const change = changed.operations.find(({ name }) => name === "server")?.changes;
    assert.deepEqual(change, [
      { path: "image", before: "ubuntu-24.04", after: "debian-12" },
      { path: "userData", before: "[secret]", after: "[secret]" },
    ]);
    assert.deepEqual(readFileSync(project.stateFile), state);
    assert.deepEqual(readdirSync(project.directory), files);
    assert.ok(!JSON.stringify([changed, project.events]).includes("hidden-"));
    assert.equal(hetzner.project.servers()[0]?.image?.name, "ubuntu-24.04");

    const done = await up(project.options);
    const counts = ({ created, updated, replaced, deleted, same }: typeof done | typeof changed) => ({
      created,
      updated,
      replaced,
      deleted,
      same,
    });
    assert.deepEqual(counts(done), counts(changed));
    assert.ok(!existsSync(path.join(project.directory, "inside-deleted")), "it goes with the server");
    assert.equal((await readState(project.options))?.pendingCreations.length, 0);
  } finally {
    project.remove();
    await hetzner.close();
  }
});

test("what up would refuse, a preview refuses: wrong inputs, protection, the program's own trouble", async () => {
  const program = (what: string): string => `
    import { local } from "@pulumi/command";
    import * as random from "@pulumi/random";
    const id = new random.RandomString("id", { length: 8, keepers: { at: ${what === "replaced" ? "'2'" : "'1'"} } }, { protect: true });
    ${what === "wrong" ? 'new local.Command("wrong", { create: id.result, interpreter: [3] } as never);' : ""}
    ${what === "throws" ? 'throw new Error("the program\'s own trouble");' : ""}
  `;
  const project = createProject(program(""));
  try {
    const refusal = async (what: string): Promise<string> => {
      project.write(what === "gone" ? "export {};" : program(what));
      const error: unknown = await preview(project.options).then(
        () => assert.fail("this should have failed"),
        (reason: unknown) => reason,
      );
      assert.ok(error instanceof DeploymentFailedError, String(error));
      return error.message;
    };
    const wrong = await refusal("wrong");
    assert.match(wrong, /interpreter\[0\]: .*expected string/);
    assert.doesNotMatch(wrong, /create:/, "what is unknown is not judged");
    assert.match(await refusal("throws"), /the program's own trouble/);
    project.write(program(""));
    await up(project.options);
    assert.match(await refusal("replaced"), /"id" is protected/);
    assert.match(await refusal("gone"), /"id" is protected/);
    assert.ok(
      project.events.every(
        (event) => event.kind !== "resource-started" || event.component || event.name === "id",
      ),
    );
  } finally {
    project.remove();
  }
});
