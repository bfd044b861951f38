import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import test from "node:test";
import { parse } from "yaml";
import { nodePlans } from "../nodes.ts";
import { type CloudConfig, renderCloudConfig, userDataLimit } from "./cloud-config.ts";
import { k3sConfig, nodeConfig, nodeUserData, scripts } from "./node-config.ts";

const secrets = {
  serverToken: "s".repeat(48),
  agentToken: "a".repeat(48),
  // As long as a real one.
  hostPrivateKey: `-----BEGIN OPENSSH PRIVATE KEY-----\n${"k".repeat(340)}\n-----END OPENSSH PRIVATE KEY-----\n`,
  hostPublicKey: `ssh-ed25519 ${"p".repeat(68)}`,
};
const [control, broker, second] = nodePlans;

function file(config: CloudConfig, path: string): string {
  const found = config.write_files.find((written) => written.path === path);
  assert.ok(found !== undefined, path);
  return found.content;
}

test("user data of every node is cloud-config that reads back the same, and under Hetzner's limit", () => {
  for (const plan of nodePlans) {
    const text = nodeUserData({ plan, ...secrets });
    assert.ok(text.startsWith("#cloud-config\n"));
    assert.ok(Buffer.byteLength(text) < userDataLimit);
    assert.deepEqual(
      parse(text, { version: "1.1" }),
      JSON.parse(JSON.stringify(nodeConfig({ plan, ...secrets }))),
    );
  }
});

test("user data that is too large is refused", () => {
  const config = nodeConfig({ plan: control, ...secrets });
  config.write_files.push({ path: "/x", permissions: "0644", content: "x".repeat(userDataLimit) });
  assert.throws(() => renderCloudConfig(config), /at most 32768/);
});

test("an agent gets the agents' token only", () => {
  const agent = nodeUserData({ plan: broker, ...secrets });
  assert.ok(agent.includes(secrets.agentToken));
  assert.ok(!agent.includes(secrets.serverToken));
});

test("the control plane is set up as DESIGN 3 says", () => {
  const config = k3sConfig({ plan: control, ...secrets });
  assert.equal(config["node-name"], "k3s-control");
  assert.equal(config["node-ip"], "10.0.1.1");
  assert.equal(config["advertise-address"], "10.0.1.1");
  assert.equal(config["token"], secrets.serverToken);
  assert.equal(config["agent-token"], secrets.agentToken);
  assert.deepEqual(config["disable"], ["traefik", "servicelb", "metrics-server"]);
  assert.equal(config["write-kubeconfig-mode"], "0600");
});

test("brokers join by the control plane's private address", () => {
  const config = k3sConfig({ plan: second, ...secrets });
  assert.equal(config["node-name"], "kafka-1");
  assert.equal(config["node-ip"], "10.0.1.11");
  assert.equal(config["server"], "https://10.0.1.1:6443");
  assert.equal(config["token"], secrets.agentToken);
  assert.equal(config["disable"], undefined);
});

test("files with tokens are the administrator's, scripts are executable and in their place", () => {
  const config = nodeConfig({ plan: control, ...secrets });
  for (const written of config.write_files) {
    if (Object.values(secrets).some((secret) => written.content.includes(secret))) {
      assert.equal(written.permissions, "0600", written.path);
    }
  }
  for (const name of scripts) {
    const script = config.write_files.find((written) => written.path === `/usr/local/lib/trading/${name}`);
    assert.equal(script?.permissions, "0755", name);
  }
  assert.deepEqual(config.runcmd, [["/usr/local/lib/trading/install-node"]]);
});

test("the host key is given, and the image's keys are dropped", () => {
  const config = nodeConfig({ plan: control, ...secrets });
  assert.equal(config.ssh_deletekeys, true);
  assert.deepEqual(config.ssh_keys, {
    ed25519_private: secrets.hostPrivateKey,
    ed25519_public: secrets.hostPublicKey,
  });
  assert.equal(config.ssh_pwauth, false);
});

test("k3s does not start before pods are kept away from the metadata service", () => {
  const config = nodeConfig({ plan: broker, ...secrets });
  const unit = file(config, "/etc/systemd/system/trading-k3s.service");
  assert.match(unit, /^Requires=trading-metadata-guard\.service$/m);
  assert.match(unit, /^After=trading-metadata-guard\.service$/m);
  assert.match(unit, /^ExecStart=\/usr\/local\/bin\/k3s agent$/m);
  assert.match(
    file(config, "/etc/systemd/system/trading-metadata-guard.service"),
    /--table raw --insert PREROUTING --destination 169\.254\.169\.254\/32 --jump DROP/,
  );
});

test("k3s is pinned by version and checksum", () => {
  const environment = file(nodeConfig({ plan: broker, ...secrets }), "/etc/trading/node.env");
  assert.match(environment, /^K3S_VERSION=v\d+\.\d+\.\d+\+k3s\d+$/m);
  assert.match(environment, /^K3S_SHA256=[0-9a-f]{64}$/m);
});

test("every script is valid bash", () => {
  const config = nodeConfig({ plan: control, ...secrets });
  for (const name of scripts) {
    const checked = spawnSync("bash", ["-n"], {
      input: file(config, `/usr/local/lib/trading/${name}`),
      encoding: "utf8",
    });
    assert.equal(checked.status, 0, `${name}: ${checked.stderr}`);
  }
});

test("unattended apt is off before anything else runs", () => {
  const [command] = nodeConfig({ plan: control, ...secrets }).bootcmd;
  assert.match(
    command?.at(-1) ?? "",
    /^systemctl mask --now apt-daily\.timer apt-daily-upgrade\.timer unattended-upgrades\.service/,
  );
});
