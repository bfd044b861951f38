import assert from "node:assert/strict";
import test from "node:test";
import { parse } from "yaml";
import { nodePlans, nodePlansOf } from "../nodes.ts";
import { profiles } from "../profile.ts";
import { serviceImages } from "../versions.ts";
import { type CloudConfig, renderCloudConfig, userDataLimit } from "./cloud-config.ts";
import { imagesAhead } from "./images-ahead.ts";
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

const everyOption = {
  k3s: { embeddedRegistry: true, wireguard: true },
  registryCredentials: { host: "registry.example.com", user: "reader", token: "r".repeat(255) },
};

test("user data of every node is cloud-config that reads back the same, and under Hetzner's limit", () => {
  for (const profile of profiles) {
    for (const plan of nodePlansOf(profile)) {
      for (const options of [{}, everyOption]) {
        const images = imagesAhead(profile, plan.nodeName, serviceImages);
        const args = { plan, ...secrets, images, ...options };
        const text = nodeUserData(args);
        assert.ok(text.startsWith("#cloud-config\n"));
        // A tenth is kept free for what is added next.
        assert.ok(Buffer.byteLength(text) < userDataLimit * 0.9, `${plan.nodeName}: ${text.length}`);
        assert.deepEqual(parse(text, { version: "1.1" }), JSON.parse(JSON.stringify(nodeConfig(args))));
      }
    }
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
  const config = nodeConfig({ plan: control, ...secrets, ...everyOption });
  const values = [...Object.values(secrets), everyOption.registryCredentials.token];
  for (const written of config.write_files) {
    if (values.some((secret) => written.content.includes(secret))) {
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
    /--table raw --insert PREROUTING --destination 169\.254\.169\.254\/32 --jump DROP\n.*--table mangle --insert FORWARD --destination 169\.254\.169\.254\/32 --jump DROP/,
  );
});

test("k3s is pinned by version and checksum", () => {
  const environment = file(nodeConfig({ plan: broker, ...secrets }), "/etc/trading/node.env");
  assert.match(environment, /^K3S_VERSION=v\d+\.\d+\.\d+\+k3s\d+$/m);
  assert.match(environment, /^K3S_SHA256=[0-9a-f]{64}$/m);
});

test("the two containerds of a node never run at once", () => {
  const config = nodeConfig({ plan: broker, ...secrets });
  assert.match(
    file(config, "/etc/systemd/system/trading-images-ahead.service"),
    /^Conflicts=trading-k3s\.service$/m,
  );
  assert.match(
    file(config, "/etc/systemd/system/trading-k3s.service"),
    /^After=trading-images-ahead\.service$/m,
  );
});

test("the options of k3s are the server's, the registries' file is every node's", () => {
  const of = (plan: (typeof nodePlans)[number], options: Partial<typeof everyOption>) => {
    const config = nodeConfig({ plan, ...secrets, images: ["quay.io/a/b:1", "c:2"], ...options });
    const registries = config.write_files.find(({ path }) => path === "/etc/rancher/k3s/registries.yaml");
    return {
      k3s: parse(file(config, "/etc/rancher/k3s/config.yaml")) as Record<string, unknown>,
      registries: registries === undefined ? undefined : (parse(registries.content) as unknown),
      containerd: file(config, "/etc/trading/containerd.toml"),
    };
  };
  const plain = of(control, {});
  assert.deepEqual([plain.k3s["embedded-registry"], plain.k3s["flannel-backend"]], [undefined, undefined]);
  assert.equal(plain.registries, undefined);
  assert.doesNotMatch(plain.containerd, /auth/);

  const server = of(control, everyOption);
  assert.deepEqual(
    [server.k3s["embedded-registry"], server.k3s["flannel-backend"]],
    [true, "wireguard-native"],
  );
  const agent = of(second, everyOption);
  assert.deepEqual([agent.k3s["embedded-registry"], agent.k3s["flannel-backend"]], [undefined, undefined]);
  const { host, user, token } = everyOption.registryCredentials;
  for (const node of [server, agent]) {
    assert.deepEqual(node.registries, {
      mirrors: { "docker.io": {}, "quay.io": {} },
      configs: { [host]: { auth: { username: user, password: token } } },
    });
    assert.match(
      node.containerd,
      /\.registry\.configs\."registry\.example\.com"\.auth\]\nusername = "reader"\n/,
    );
  }
  const { registries } = of(control, { registryCredentials: everyOption.registryCredentials });
  assert.deepEqual(Object.keys(registries as object), ["configs"]);
});

test("boot delays are off before anything else runs, and their absence stops nothing", () => {
  const [command, ...others] = nodeConfig({ plan: control, ...secrets }).bootcmd;
  assert.deepEqual(others, []);
  const line = command?.at(-1) ?? "";
  assert.match(line, /^systemctl mask --now --no-block apt-daily\.timer .*snapd\.seeded\.service/);
  assert.match(line, /; true$/);
});
