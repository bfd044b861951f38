/**
 * The commands that a simulated server knows: the scripts of its own user data, by path, and `cloud-init status`. Their
 * messages and exit codes are those of components/cloud-init/scripts. Anything else ends with 127.
 */
import { scriptDirectory } from "./k3s-config.ts";
import { type Machine, seconds } from "./machine.ts";

/** What a command wrote and how it ended. */
export interface CommandResult {
  exitCode: number;
  stdout: string;
  stderr: string;
}

const done = (stdout: string): CommandResult => ({ exitCode: 0, stdout: `${stdout}\n`, stderr: "" });
const failed = (exitCode: number, ...stderr: string[]): CommandResult => ({
  exitCode,
  stdout: "",
  stderr: `${stderr.join("\n")}\n`,
});

type Command = (machine: Machine, args: readonly string[], signal: AbortSignal) => Promise<CommandResult>;

const settled = (machine: Machine) => machine.cloudInit !== "not started" && machine.cloudInit !== "running";

/** The nodes that a control plane knows, itself first. */
function nodesOf(controlPlane: Machine): Machine[] {
  return controlPlane.world
    .machines()
    .filter((machine) => machine.node.controlPlane === controlPlane)
    .sort((one, other) => Number(other === controlPlane) - Number(one === controlPlane) || one.id - other.id);
}

function readyNodes(controlPlane: Machine): number {
  const names = nodesOf(controlPlane)
    .filter((machine) => machine.node.ready)
    .map((machine) => machine.node.config?.nodeName);
  return new Set(names).size;
}

const cloudInitStatus: Command = async (machine, args, signal) => {
  if (args[0] !== "status")
    return failed(127, `simulated server: cloud-init ${args.join(" ")} is not simulated`);
  if (args.includes("--wait")) {
    await machine.world.changes.until(
      () => settled(machine),
      machine.duration("deadline_wait_for_nodes"),
      signal,
    );
  }
  const { cloudInit } = machine;
  const text =
    cloudInit === "degraded"
      ? `status: done\nextended_status: degraded done\nrecoverable_errors:\nWARNING:\n${machine.userData.warnings.map((line) => `\t- ${line}`).join("\n")}`
      : cloudInit === "error"
        ? `status: error\nerrors:\n${machine.log.map((line) => `\t- ${line}`).join("\n")}`
        : `status: ${cloudInit}`;
  // https://docs.cloud-init.io/en/latest/explanation/return_codes.html
  const exitCode = cloudInit === "error" ? 1 : cloudInit === "degraded" ? 2 : 0;
  return { exitCode, stdout: `${text}\n`, stderr: "" };
};

const waitForNode: Command = async (machine, _args, signal) => {
  const name = machine.node.config?.nodeName ?? machine.hostname;
  const fail = (reason: string) =>
    failed(
      1,
      `wait-for-node: ${name}: ${reason}`,
      `--- install-node: ${machine.stage ?? "never started"}`,
      "--- end of /var/log/cloud-init-output.log",
      ...machine.log.slice(-12),
      `wait-for-node: ${name}: ${reason}`,
    );
  const deadline = machine.duration("deadline_wait_for_nodes");
  const { changes } = machine.world;
  const started = machine.world.clock.now();
  if (!(await changes.until(() => settled(machine), deadline, signal))) {
    return fail(`cloud-init is still running after ${seconds(deadline)} s`);
  }
  if (machine.cloudInit === "error") return fail("cloud-init failed (exit code 1)");
  if (!machine.installed) return fail("install-node did not finish");
  const left = deadline - (machine.world.clock.now() - started);
  if (!(await changes.until(() => machine.node.ready, left, signal))) {
    return fail(`not Ready (${machine.node.trouble ?? "k3s is not running"})`);
  }
  return done(`${machine.node.config?.nodeName ?? name} is Ready`);
};

const waitForNodes: Command = async (machine, args, signal) => {
  const wanted = Number(args[0]);
  if (args[0] === undefined || !Number.isInteger(wanted))
    return failed(1, "usage: wait-for-nodes <number of nodes>");
  const deadline = machine.duration("deadline_wait_for_nodes");
  if (await machine.world.changes.until(() => readyNodes(machine) >= wanted, deadline, signal)) {
    return done(`${readyNodes(machine)} nodes are Ready`);
  }
  const known = nodesOf(machine).map(
    ({ node }) => `${node.config?.nodeName}\t${node.ready ? "Ready" : "NotReady"}\t${node.config?.role}`,
  );
  // A real control plane cannot know these; the simulator can, and saves a search.
  const missing = machine.world
    .machines()
    .filter((other) => other.node.controlPlane === undefined && other.node.trouble !== undefined)
    .map((other) => `simulated server: ${other.hostname} did not join: ${other.node.trouble}`);
  return failed(
    1,
    `wait-for-nodes: ${readyNodes(machine)} of ${wanted} nodes are Ready`,
    ...known,
    ...missing,
  );
};

const printKubeconfig: Command = async (machine) => {
  if (machine.node.config?.role !== "server" || machine.node.controlPlane !== machine) {
    return failed(1, "cat: /etc/rancher/k3s/k3s.yaml: No such file or directory");
  }
  return { exitCode: 0, stdout: machine.kubeconfig, stderr: "" };
};

/** Groups of the custom resources that a cluster of ours gets from its operators and from k3s. */
const knownGroups = [
  "kafka.strimzi.io",
  "core.strimzi.io",
  "monitoring.coreos.com",
  "argoproj.io",
  "helm.cattle.io",
  "k3s.cattle.io",
];

const waitForCrds: Command = async (machine, args, signal) => {
  if (args.length === 0) return failed(2, "usage: wait-for-crds <crd>...");
  const deadline = machine.duration("deadline_wait_for_crds");
  const { changes } = machine.world;
  const started = machine.world.clock.now();
  const ready = await changes.until(
    () => machine.node.ready && machine.node.config?.role === "server",
    deadline,
    signal,
  );
  const { established } = machine.world;
  if (ready && established !== undefined) {
    const left = deadline - (machine.world.clock.now() - started);
    await changes.until(() => args.every((definition) => established(definition)), left, signal);
  } else if (ready) await changes.pause(machine.duration("charts_installed"), signal);
  const group = (crd: string) => /^[a-z0-9]+\.(.+)$/.exec(crd)?.[1] ?? "";
  const there = (crd: string) => established?.(crd) ?? knownGroups.includes(group(crd));
  const missing = args.find((crd) => !ready || !there(crd));
  if (missing === undefined) return done(args.map((crd) => `${crd} is established`).join("\n"));
  await changes.pause(Math.max(0, deadline - (machine.world.clock.now() - started)), signal);
  return failed(
    1,
    `wait-for-crds: ${missing} is not established after ${seconds(deadline)} s`,
    `simulated server: it knows the custom resources of ${knownGroups.join(", ")}`,
  );
};

const commands: Readonly<Record<string, Command>> = {
  "cloud-init": cloudInitStatus,
  [`${scriptDirectory}/wait-for-node`]: waitForNode,
  [`${scriptDirectory}/wait-for-nodes`]: waitForNodes,
  [`${scriptDirectory}/print-kubeconfig`]: printKubeconfig,
  [`${scriptDirectory}/wait-for-crds`]: waitForCrds,
};

/** The stack's first contact with a node (components/cloud-init/scripts.ts): wait for a script, say why it is missing, run it. */
const firstContact =
  /^timeout \d+ sh -c 'until test -x (\S+); do sleep 1; done' \|\| \{ .* \} >&2; exec (\1)$/;

/**
 * Runs a command line on a machine. Only a plain line of words is understood, without a shell, and the first contact.
 * @param signal the connection's end or the server's loss of power
 */
export async function runCommand(
  machine: Machine,
  line: string,
  signal: AbortSignal,
): Promise<CommandResult> {
  const [, script] = firstContact.exec(line) ?? [];
  if (script !== undefined) {
    if (machine.userData.files.has(script)) return runCommand(machine, script, signal);
    await machine.world.changes.pause(machine.duration("deadline_first_contact"), signal);
    const reason = `cloud-init did not write ${script} within ${seconds(machine.duration("deadline_first_contact"))} s`;
    return failed(1, ...machine.log.slice(-12), `${machine.hostname}: ${reason}: did it take the user data?`);
  }
  const [name = "", ...args] = line.trim().split(/\s+/);
  const command = commands[name];
  const file = machine.userData.files.get(name);
  if (name.startsWith("/") && file === undefined)
    return failed(127, `bash: line 1: ${name}: No such file or directory`);
  if (file !== undefined && (file.mode & 0o100) === 0)
    return failed(126, `bash: line 1: ${name}: Permission denied`);
  if (command === undefined || /[;&|<>$`'"\\\n]/.test(line.trim())) {
    return failed(
      127,
      `bash: line 1: ${name}: command not found`,
      `This is a simulated server of the lab: it runs only ${Object.keys(commands).join(", ")}, without a shell.`,
    );
  }
  await machine.world.changes.pause(machine.duration("ssh_command"), signal);
  return command(machine, args, signal);
}
