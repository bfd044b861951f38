/** Admissions as a runner uses them: the real command line, and real SSH connections from several source addresses. */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { connect } from "node:net";
import { after, before, test } from "node:test";
import { runWhenBooted, startTestClient, type TestClient } from "../../lab/hetzner/testing/client.ts";
import { createCluster } from "../../lab/hetzner/testing/cluster.ts";

const admin = { direction: "in", protocol: "tcp", source_ips: ["127.0.0.1/32"] };
const adminRules = [
  { ...admin, port: "22", description: "SSH" },
  { ...admin, port: "6443", description: "Kubernetes API" },
];
const outside = "127.0.0.8";

let lab: TestClient;
let host = "";
before(async () => {
  lab = await startTestClient({ enforceFirewalls: true });
  const cluster = await createCluster(lab);
  host = cluster.addresses[0] ?? "";
  const labels = { project: "trading", stack: "dev", role: "firewall" };
  await lab.expect(200, "PUT", `/firewalls/${cluster.ids.firewall}`, { labels });
  const set = `/firewalls/${cluster.ids.firewall}/actions/set_rules`;
  await lab.wait(...(await lab.expect(201, "POST", set, { rules: adminRules })).actions);
  const ssh = { host, port: lab.hetzner.sshPort, privateKey: cluster.adminKey };
  await runWhenBooted(ssh, "cloud-init status --wait");
});
after(async () => {
  await lab.hetzner.close();
});

/** Whether a server speaks to a client at this source: SSH servers begin with a line of their own. */
function speaks(localAddress: string, patienceMs = 10_000): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port: lab.hetzner.sshPort, localAddress });
    const end = (spoke: boolean) => {
      socket.destroy();
      resolve(spoke);
    };
    socket.setTimeout(patienceMs, () => end(false));
    socket.once("data", () => end(true));
    socket.once("error", () => end(false));
  });
}

interface Ended {
  code: number | null;
  output: string;
}

/** `trading admit` as a process. */
function admit(...args: string[]): {
  child: ChildProcess;
  said: (text: string) => Promise<void>;
  ended: Promise<Ended>;
} {
  const child = spawn(process.execPath, ["--import", "tsx", "ops/main.ts", "admit", ...args], {
    env: { ...process.env, HCLOUD_TOKEN: lab.hetzner.token, HCLOUD_ENDPOINT: lab.hetzner.endpoint },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  const listeners = new Set<() => void>();
  for (const stream of [child.stdout, child.stderr])
    stream.on("data", (data: Buffer) => {
      output += data.toString();
      for (const listener of listeners) listener();
    });
  const ended = new Promise<Ended>((resolve) => child.on("close", (code) => resolve({ code, output })));
  const said = (text: string) =>
    new Promise<void>((resolve, reject) => {
      const look = () => {
        if (output.includes(text)) resolve();
      };
      listeners.add(look);
      look();
      void ended.then(() => reject(new Error(`${text} was not said:\n${output}`)));
    });
  return { child, said, ended };
}

const rules = () => lab.hetzner.project.firewalls()[0]?.rules ?? [];
const left = () => rules().map(({ port, source_ips, description }) => [port, source_ips, description]);
const onlyAdmins = adminRules.map(({ port, source_ips, description }) => [port, source_ips, description]);
/** How long nothing must come from a server that does not speak. */
const silence = 200;

test("a command is run while its machine is let in, and is shut out when it ends, whether well or not", async () => {
  assert.equal(await speaks(outside, silence), false);
  const script = `const s = require("net").connect({ host: "${host}", port: ${lab.hetzner.sshPort}, localAddress: "${outside}" });
    s.once("data", (line) => { console.log("reached " + line); process.exit(3); });`;
  const { code, output } = await admit("--address", outside, "--", process.execPath, "-e", script).ended;
  assert.match(output, /127\.0\.0\.8\/32 is admitted to dev until/);
  assert.match(output, /reached SSH-2\.0/);
  assert.match(output, /ended with exit code 3/);
  assert.equal(code, 1);
  assert.deepEqual(left(), onlyAdmins);
  assert.equal(await speaks(outside, silence), false);
  assert.equal(await speaks("127.0.0.1"), true);
});

test("an interrupted command is ended, and its machine is shut out", async () => {
  const running = admit(
    "--address",
    outside,
    "--",
    process.execPath,
    "-e",
    "console.log('working'); setInterval(() => {}, 1000)",
  );
  await running.said("working");
  assert.equal(await speaks(outside), true);
  running.child.kill("SIGINT");
  const { code } = await running.ended;
  assert.equal(code, 130);
  assert.deepEqual(left(), onlyAdmins);
});

test("interrupted before it is known to be open, it is closed again", async () => {
  const running = admit("--address", outside);
  const deadline = performance.now() + 20_000;
  while (rules().length === adminRules.length) {
    assert.ok(performance.now() < deadline, "the rules are written");
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  running.child.kill("SIGHUP");
  const { code, output } = await running.ended;
  assert.equal(code, 130, output);
  assert.deepEqual(left(), onlyAdmins);
});

test("opened by one command and closed by another; what is over goes with the next one", async () => {
  const brief = admit("--address", "127.0.0.9", "--for", "1s", "--name", "brief").ended;
  assert.equal((await brief).code, 0);
  const opened = await admit("--address", outside, "--for", "90s", "--name", "a runner", "--json").ended;
  assert.equal(opened.code, 0, opened.output);
  assert.ok(!JSON.stringify(rules()).includes("brief"), "what is over is gone");
  assert.equal(await speaks(outside), true);
  assert.deepEqual(
    rules()
      .slice(2)
      .map(({ port, source_ips }) => [port, source_ips]),
    [
      ["22", [`${outside}/32`]],
      ["6443", [`${outside}/32`]],
    ],
  );
  assert.match(
    rules()[2]?.description ?? "",
    /^admitted: a-runner until 2\d{3}-\S+Z \(epoch \d+\), id [0-9a-f]{12}$/,
  );
  const other = await admit("--close", "--address", outside, "--name", "somebody else").ended;
  assert.match(other.output, /nothing was open/);
  assert.equal(await speaks(outside), true);
  const closed = await admit("--close", "--address", outside, "--name", "a runner").ended;
  assert.match(closed.output, /a-runner/);
  assert.deepEqual(left(), onlyAdmins);
  assert.equal(await speaks(outside, silence), false);
});
