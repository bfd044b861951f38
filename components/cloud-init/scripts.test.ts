/** The nodes' scripts, run for real: in a folder of their own, with commands that only play their part. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, describe, test } from "node:test";
import { nodePlans } from "../nodes.ts";
import { nodeConfig } from "./node-config.ts";
import { firstContact, script, type ScriptName } from "./scripts.ts";

const root = mkdtempSync(path.join(tmpdir(), "node-scripts-"));
after(() => rmSync(root, { recursive: true, force: true }));

/** Stands for the k3s that is downloaded; what it does is in the machine's folder. */
const downloaded = `#!/bin/bash
exec "$MACHINE/bin/k3s" "$@"
`;

/** Commands of a machine. `$MACHINE` is its folder, `$MACHINE/log` what was called, in order. */
const commands: Readonly<Record<string, string>> = {
  sleep: "exec /bin/sleep 0.02",
  curl: `echo "curl \${*: -1}" >>"$MACHINE/log"
case \${*: -1} in
  *github.com*) cp "$MACHINE/download" "$MACHINE/usr/local/bin/k3s.download" ;;
  */cacerts) [[ -e $MACHINE/control-plane ]] ;;
  *public-ipv4) echo 192.0.2.7 ;;
esac`,
  ip: `cat "$MACHINE/addresses"`,
  "apt-get": `echo "apt-get \${*: -1}" >>"$MACHINE/log"`,
  systemctl: `echo "systemctl $*" >>"$MACHINE/log"
! grep --quiet --line-regexp --fixed-strings "$*" "$MACHINE/failing"`,
  chronyc: `echo "chronyc $*" >>"$MACHINE/log"
[[ $1 == tracking ]] && echo "System time     : 0.300000000 seconds slow of NTP time"
[[ ! -e $MACHINE/skew ]]`,
  k3s: `echo "k3s $*" >>"$MACHINE/log"
case "$*" in
  *inspecti*) exit 1 ;;
  *pull*) ! grep --quiet --line-regexp --fixed-strings "\${*: -1}" "$MACHINE/failing" ;;
  *get\\ node*) echo True ;;
esac`,
  "cloud-init": `[[ $* == *--wait* && -e $MACHINE/hangs ]] && exec /bin/sleep 30
[[ $* == *--long* ]] && echo "status: running"
exit 0`,
  journalctl: "seq 1 8",
};

interface Machine {
  folder: string;
  log(): string[];
  has(file: string): boolean;
  put(file: string, text: string): void;
  /** The environment of what runs on it. */
  environment: Record<string, string>;
  /** A shell text with the machine's folder before every path of the system. */
  rooted(text: string): string;
}

let machines = 0;

/**
 * A machine on which cloud-init wrote a node's files.
 * @param expiring the deadline that is one second; the others are long enough for a busy machine
 */
function machine(
  node: (typeof nodePlans)[number]["nodeName"],
  expiring?: "INTERFACE" | "K3S" | "NODE",
): Machine {
  const ready = expiring !== "INTERFACE";
  const folder = path.join(root, String((machines += 1)));
  const rooted = (text: string) =>
    text.replaceAll(/(?<![\w./}-])\/(etc|run|var|usr\/local)\//g, `${folder}/$1/`);
  const put = (file: string, text: string) => {
    mkdirSync(path.dirname(path.join(folder, file)), { recursive: true });
    writeFileSync(path.join(folder, file), text, { mode: 0o755 });
  };
  const plan = nodePlans.find(({ nodeName }) => nodeName === node) ?? nodePlans[0];
  const config = nodeConfig({
    plan,
    serverToken: "s",
    agentToken: "a",
    hostPrivateKey: "k",
    hostPublicKey: "p",
    images: ["one:1", "two:2", "three:3"],
  });
  for (const { path: file, content } of config.write_files) put(file, rooted(content));
  const sha256 = createHash("sha256").update(downloaded).digest("hex");
  const environment = readFileSync(path.join(folder, "etc/trading/node.env"), "utf8");
  put(
    "etc/trading/node.env",
    environment
      .replace(/K3S_SHA256=.*/, `K3S_SHA256=${sha256}`)
      .replaceAll(/DEADLINE=.*/g, "DEADLINE=20")
      .replace(`${expiring}_DEADLINE=20`, `${expiring}_DEADLINE=1`),
  );
  for (const [name, body] of Object.entries(commands)) put(`bin/${name}`, `#!/bin/bash\n${body}\n`);
  for (const file of ["usr/local/bin/.keep", "run/.keep", "log", "failing"]) put(file, "");
  put("download", downloaded);
  put(
    "addresses",
    ready ? `3: enp7s0    inet ${plan.privateAddress}/32 brd 10.0.1.1 scope global enp7s0\n` : "",
  );
  if (ready) put("control-plane", "");
  return {
    folder,
    put,
    rooted,
    has: (file) => existsSync(path.join(folder, file)),
    log: () => readFileSync(path.join(folder, "log"), "utf8").trim().split("\n"),
    environment: { PATH: `${folder}/bin:/usr/bin:/bin`, MACHINE: folder },
  };
}

interface Ended {
  code: number | null;
  output: string;
}

function shell(on: Machine, args: readonly string[], whileRuns?: (end: () => void) => void): Promise<Ended> {
  return new Promise((resolve, reject) => {
    const child = spawn("/bin/bash", ["--norc", ...args], { env: on.environment, timeout: 60_000 });
    let output = "";
    child.stdout.on("data", (chunk: Buffer) => (output += chunk.toString()));
    child.stderr.on("data", (chunk: Buffer) => (output += chunk.toString()));
    child.once("error", reject);
    child.once("close", (code) => resolve({ code, output }));
    whileRuns?.(() => child.kill("SIGTERM"));
  });
}

const run = (on: Machine, name: ScriptName, ...args: string[]) =>
  shell(on, ["-c", on.rooted(script(name)), name, ...args]);

/** Waits, with a deadline. */
async function until(condition: () => boolean): Promise<void> {
  const end = performance.now() + 20_000;
  while (!condition()) {
    assert.ok(performance.now() < end, "not within 20 s");
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

describe("install-node", { concurrency: 2 }, () => {
  test("an agent fetches images, then joins, then looks at its clock", async () => {
    const agent = machine("kafka-1");
    const { code, output } = await run(agent, "install-node");
    assert.equal(code, 0, output);
    const order = [
      "systemctl start trading-images-ahead.service",
      "curl https://10.0.1.1:6443/cacerts",
      "systemctl start trading-images.service",
      "systemctl start trading-k3s.service",
      "chronyc waitsync 20 0.1 0 1",
    ];
    assert.deepEqual(
      agent.log().filter((line) => order.includes(line)),
      order,
    );
    assert.ok(agent.log().indexOf("systemctl enable --now trading-metadata-guard.service") > 0);
    assert.equal(
      readFileSync(path.join(agent.folder, "etc/rancher/k3s/config.yaml.d/10-addresses.yaml"), "utf8"),
      "flannel-iface: enp7s0\n",
    );
    assert.ok(agent.has("etc/trading/installed"));
  });

  test("the control plane waits for nobody, and its certificate names its addresses", async () => {
    const server = machine("k3s-control");
    rmSync(path.join(server.folder, "control-plane"));
    const { code, output } = await run(server, "install-node");
    assert.equal(code, 0, output);
    assert.ok(!server.log().includes("systemctl start trading-images-ahead.service"));
    assert.ok(server.log().includes("systemctl start trading-images.service"));
    assert.match(
      readFileSync(path.join(server.folder, "etc/rancher/k3s/config.yaml.d/10-addresses.yaml"), "utf8"),
      /^tls-san:\n {2}- 192\.0\.2\.7\n {2}- 10\.0\.1\.1$/m,
    );
  });

  test("another k3s than the pinned one is never put in its place", async () => {
    const agent = machine("kafka-0");
    agent.put("download", "#!/bin/bash\nexit 0\n");
    const { code, output } = await run(agent, "install-node");
    assert.equal(code, 1);
    assert.match(output, /install-node: k3s v\S+ has another checksum than [0-9a-f]{64}/);
    assert.equal(agent.has("usr/local/bin/k3s"), false);
    assert.ok(!agent.log().some((line) => line.startsWith("systemctl")));
  });

  test("without its private interface it gives up at the deadline, and says so", async () => {
    const agent = machine("kafka-0", "INTERFACE");
    const { code, output } = await run(agent, "install-node");
    assert.equal(code, 1);
    assert.match(
      output,
      /no network interface has 10\.0\.1\.10 after 1 s: is the private network attached\?/,
    );
    assert.match(readFileSync(path.join(agent.folder, "run/trading/stage"), "utf8"), /10\.0\.1\.10 \(since/);
  });

  test("an address that only begins like its own is another's", async () => {
    const agent = machine("kafka-0", "INTERFACE");
    agent.put("addresses", "3: eth1    inet 10.0.1.100/32 scope global eth1\n");
    assert.equal((await run(agent, "install-node")).code, 1);
  });

  test("a control plane that never answers is named", async () => {
    const agent = machine("kafka-0", "K3S");
    rmSync(path.join(agent.folder, "control-plane"));
    const { code, output } = await run(agent, "install-node");
    assert.equal(code, 1);
    assert.match(output, /nothing answers at https:\/\/10\.0\.1\.1:6443 after 1 s/);
    assert.ok(!agent.log().includes("systemctl start trading-k3s.service"));
  });

  test("images that cannot be fetched do not fail the node", async () => {
    const agent = machine("kafka-2");
    agent.put("failing", "start trading-images-ahead.service\nstart trading-images.service\n");
    const { code, output } = await run(agent, "install-node");
    assert.equal(code, 0, output);
    assert.ok(agent.has("etc/trading/installed"));
  });

  test("a k3s that does not start, and a clock that is off, fail it", async () => {
    const stuck = machine("kafka-2", "K3S");
    stuck.put("failing", "start trading-k3s.service\n");
    const started = await run(stuck, "install-node");
    assert.equal(started.code, 1);
    assert.match(started.output, /k3s did not start within 1 s: see journalctl/);

    const off = machine("kafka-2");
    off.put("skew", "");
    const skewed = await run(off, "install-node");
    assert.equal(skewed.code, 1);
    assert.match(skewed.output, /the clock is off by more than 0\.1 s after 20 s: System time +: 0\.3/);
    assert.equal(off.has("etc/trading/installed"), false);
  });
});

describe("pull-images", { concurrency: 2 }, () => {
  const pulls = (on: Machine) =>
    on
      .log()
      .flatMap((line) => (/ pull (\S+)$/.exec(line)?.[1] === undefined ? [] : [line.split(" ").at(-1)]));
  const withK3s = (on: Machine) => {
    on.put("usr/local/bin/k3s", downloaded);
    return on;
  };
  /** A containerd that runs until it is told to end. */
  const containerd = `#!/bin/bash
trap 'echo "containerd ended" >>"$MACHINE/log"; exit 0' TERM
echo "containerd $*" >>"$MACHINE/log"
while :; do /bin/sleep 0.05; done
`;
  const bundled = "var/lib/rancher/k3s/data/current/bin/containerd";

  test("beside k3s: all in order; one that fails is tried again and holds up no other", async () => {
    const agent = withK3s(machine("kafka-1"));
    agent.put("failing", "two:2\n");
    const { code, output } = await run(agent, "pull-images", "beside");
    assert.equal(code, 0, output);
    assert.deepEqual(pulls(agent), ["one:1", "two:2", "two:2", "two:2", "three:3"]);
    assert.match(output, /two:2 could not be fetched/);
    assert.ok(agent.log().every((line) => line.includes(`unix://${agent.folder}/run/k3s/containerd/`)));
  });

  test("ahead of k3s: on k3s's own folder, and the containerd is gone at the end", async () => {
    const agent = withK3s(machine("kafka-1"));
    agent.put(bundled, containerd);
    const { code, output } = await run(agent, "pull-images", "ahead");
    assert.equal(code, 0, output);
    assert.deepEqual(pulls(agent), ["one:1", "two:2", "three:3"]);
    const started = agent.log().find((line) => line.startsWith("containerd --config"));
    assert.match(
      started ?? "",
      /--root \S+\/var\/lib\/rancher\/k3s\/agent\/containerd --state \S+\/run\/trading\//,
    );
    assert.equal(agent.log().at(-1), "containerd ended");
  });

  test("told to end, it leaves no containerd behind", async () => {
    const agent = withK3s(machine("kafka-1"));
    agent.put(bundled, containerd);
    agent.put(
      "bin/k3s",
      `#!/bin/bash\necho "k3s $*" >>"$MACHINE/log"\n[[ $* == *pull* ]] && exec /bin/sleep 1\nexit 0\n`.replace(
        "exit 0",
        "[[ $* != *inspecti* ]]",
      ),
    );
    const text = agent.rooted(script("pull-images"));
    const ended = await shell(agent, ["-c", text, "pull-images", "ahead"], (end) => {
      void until(() => pulls(agent).length > 0).then(end);
    });
    assert.equal(ended.code, 143, ended.output);
    assert.equal(agent.log().at(-1), "containerd ended");
  });

  test("a k3s that cannot be run costs nothing but time", async () => {
    const agent = machine("kafka-1");
    agent.put("usr/local/bin/k3s", "#!/bin/bash\nexit 1\n");
    assert.equal((await run(agent, "pull-images", "ahead")).code, 0);
  });
});

describe("wait-for-node", { concurrency: 2 }, () => {
  test("a node that is ready", async () => {
    const agent = machine("kafka-1");
    agent.put("etc/trading/installed", "");
    assert.deepEqual(await run(agent, "wait-for-node"), { code: 0, output: "kafka-1 is Ready\n" });
  });

  test("a cloud-init that hangs: the reason comes first and last, with what it was at, in 40 lines", async () => {
    const agent = machine("kafka-1", "NODE");
    agent.put("hangs", "");
    agent.put("run/trading/stage", "starting k3s (since 14:31:07 UTC)\n");
    agent.put("var/log/cloud-init-output.log", Array.from({ length: 99 }, (_, i) => `line ${i}\n`).join(""));
    const { code, output } = await run(agent, "wait-for-node");
    const lines = output.trim().split("\n");
    assert.equal(code, 1);
    assert.ok(lines.length <= 40, output);
    const reason = "wait-for-node: kafka-1: cloud-init is still running after 1 s";
    assert.deepEqual([lines[0], lines.at(-1)], [reason, reason]);
    assert.ok(lines.includes("--- install-node: starting k3s (since 14:31:07 UTC)"));
    assert.ok(lines.includes("line 98"));
  });

  test("an install-node that never ran, without any log", async () => {
    const { code, output } = await run(machine("kafka-1"), "wait-for-node");
    assert.equal(code, 1);
    assert.match(output, /^--- install-node: never started$/m);
    assert.match(output, /wait-for-node: kafka-1: install-node did not finish\n$/);
  });

  test("a cloud-init that never ran: the first contact says that its script is missing", async () => {
    const fresh = machine("kafka-1");
    const line = (seconds: number) =>
      fresh.rooted(firstContact("wait-for-node")).replace("timeout 120", `timeout ${seconds}`);
    const own = path.join(fresh.folder, "usr/local/lib/trading/wait-for-node");
    fresh.put("etc/trading/installed", "");
    assert.deepEqual(await shell(fresh, ["-c", line(20)]), { code: 0, output: "kafka-1 is Ready\n" });
    rmSync(own);
    const { code, output } = await shell(fresh, ["-c", line(1)]);
    assert.equal(code, 1);
    assert.match(output, /status: running/);
    assert.match(
      output,
      /cloud-init did not write \S+wait-for-node within 120 s: did it take the user data\?\n$/,
    );
  });
});
