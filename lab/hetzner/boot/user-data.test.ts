import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { gzipSync } from "node:zlib";
import fc from "fast-check";
import { stringify } from "yaml";
import { type ParsedUserData, parseUserData } from "./cloud-config.ts";
import { readK3sConfig } from "./k3s-config.ts";

const parse = (document: unknown): ParsedUserData => parseUserData(`#cloud-config\n${stringify(document)}`);

describe("user data", () => {
  test("files come out as they went in, whatever their encoding", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (text) => {
        const content = Buffer.from(text).toString("utf8");
        const base64 = Buffer.from(content).toString("base64");
        const packed = gzipSync(content).toString("base64");
        const { files, warnings } = parse({
          write_files: [
            { path: "/b64", content: base64, encoding: "b64" },
            { path: "/gz", content: packed, encoding: "gz+b64", permissions: "0755" },
          ],
        });
        assert.deepEqual(warnings, []);
        assert.equal(files.get("/b64")?.content, content);
        assert.deepEqual(files.get("/gz"), { content, mode: 0o755 });
      }),
      { numRuns: 50 },
    );
  });

  test("nothing makes it throw: the server boots and reports", () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        parseUserData(text);
        parseUserData(`#cloud-config\n${text}`);
      }),
    );
    fc.assert(
      fc.property(
        fc.dictionary(
          fc.constantFrom("write_files", "runcmd", "users", "ssh_keys", "hostname"),
          fc.jsonValue(),
        ),
        (document) => {
          parse(document);
        },
      ),
    );
  });

  test("keys, host name and commands", () => {
    const parsed = parse({
      hostname: "node",
      ssh_authorized_keys: ["ssh-ed25519 A"],
      users: ["default", { name: "deploy", ssh_authorized_keys: ["ssh-ed25519 B"] }],
      ssh_keys: { ed25519_private: "secret" },
      runcmd: [["a", 1], "b c"],
      write_files: [
        { path: "/x", content: "1", permissions: 0o700 },
        { path: "/x", content: "2", append: true },
      ],
    });
    assert.equal(parsed.hostname, "node");
    assert.equal(parsed.hostKey, "secret");
    assert.deepEqual(
      [...parsed.authorizedKeys],
      [
        ["root", ["ssh-ed25519 A"]],
        ["deploy", ["ssh-ed25519 B"]],
      ],
    );
    assert.deepEqual(parsed.commands, [["a", "1"], "b c"]);
    assert.equal(parsed.files.get("/x")?.content, "12");
  });

  test("what is wrong is warned of by its place, and the rest is used", () => {
    const { warnings, files, hostname } = parse({
      hostname: "node",
      write_files: [{ path: "/x", content: 3 }],
      runcmd: "not a list",
    });
    assert.equal(hostname, "node");
    assert.equal(files.size, 0);
    assert.match(warnings.join("\n"), /write_files\.0\.content/);
    assert.match(warnings.join("\n"), /runcmd/);
    assert.match(parseUserData("hostname: x").warnings.join(), /Unhandled non-multipart/);
    assert.match(parseUserData("#cloud-config\n- a").warnings.join(), /mapping/);
    assert.deepEqual(parseUserData("").warnings, []);
  });
});

describe("k3s's configuration", () => {
  const read = (config: unknown, environment = "") =>
    readK3sConfig(
      new Map([
        ["/etc/rancher/k3s/config.yaml", { content: stringify(config), mode: 0o600 }],
        ["/etc/trading/node.env", { content: environment, mode: 0o644 }],
      ]),
      "host",
    );

  test("of a server: it takes agents with either token, also in the long form", () => {
    const long = `K10${"a".repeat(64)}::server:secret`;
    assert.deepEqual(
      read({ token: long, "agent-token": "agents", "node-name": "n", "node-ip": ["10.0.1.1"] }),
      {
        role: "server",
        nodeName: "n",
        nodeIp: "10.0.1.1",
        server: undefined,
        tokens: ["secret", "agents"],
      },
    );
  });

  test("of an agent, with what the environment adds", () => {
    const agent = read(
      { server: "https://10.0.1.1:6443" },
      'K3S_TOKEN="t"\nNODE_NAME=k\nPRIVATE_ADDRESS=10.0.1.2\n',
    );
    assert.deepEqual(agent, {
      role: "agent",
      nodeName: "k",
      nodeIp: "10.0.1.2",
      server: "https://10.0.1.1:6443",
      tokens: ["t"],
    });
  });

  test("what is missing is said", () => {
    assert.equal(readK3sConfig(new Map(), "host"), "/etc/rancher/k3s/config.yaml is missing");
    const reason = (result: ReturnType<typeof read>) => (typeof result === "string" ? result : "");
    assert.match(reason(read({ server: "https://10.0.1.1:6443" })), /needs 'server' and 'token'/);
    assert.match(reason(read({}, "K3S_COMMAND=proxy")), /not server or agent/);
  });
});
