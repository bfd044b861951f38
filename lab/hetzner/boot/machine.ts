/**
 * A simulated server behind the API: it boots, reads its user data as cloud-init would, answers SSH and plays the part
 * of a k3s node. Nothing of its user data is executed; what a script would do to the cluster is simulated.
 */
import type { Changes } from "../changes.ts";
import type { SimulatedClock } from "../clock.ts";
import { imagePullMs, imagePulls, type Latency, megabytesOf, type TimedStep } from "../durations.ts";
import type { Faults } from "../faults/faults.ts";
import type { BootEffect } from "../faults/rules.ts";
import type { Timeline } from "../model/timeline.ts";
import { type ParsedUserData, parseUserData } from "./cloud-config.ts";
import { runCommand } from "./commands.ts";
import { type K3sConfig, readK3sConfig, scriptDirectory } from "./k3s-config.ts";
import { simulatedKubeconfig } from "./kubeconfig.ts";
import { chooseHostKey, type SshServer, startSshServer } from "./ssh-server.ts";

/** Where a node's user data lists the images to fetch ahead, one a line. */
const imageList = "/etc/trading/images.txt";

/** What all machines share. */
export interface MachineWorld {
  readonly latency: Latency;
  readonly clock: SimulatedClock;
  readonly changes: Changes;
  readonly faults: Faults;
  readonly timeline: Timeline;
  readonly sshPort: number;
  /** Every machine of the project. */
  machines(): readonly Machine[];
  /** Whether a custom resource definition is established, where somebody plays the cluster. */
  established?: (definition: string) => boolean;
}

export interface MachineArguments {
  id: number;
  hostname: string;
  /** The server's name in the API now. */
  name: () => string;
  userData: string;
  /** OpenSSH public keys that may log in as root. */
  authorizedKeys: readonly string[];
  /** Address at which SSH answers; null when the server has no public IPv4 address. */
  publicAddress: () => string | null;
  /** Whether its firewalls let an address of the internet through to SSH. */
  admits: (address: string) => boolean;
  /** Its interfaces in private networks, as far as they are attached by now. */
  privateInterfaces: () => readonly { networkId: number; ip: string }[];
  world: MachineWorld;
}

/** Where cloud-init is; `degraded` is `done` with warnings. */
export type CloudInitStatus = "not started" | "running" | "done" | "degraded" | "error";

/** Whether and how this machine is a node of a cluster. */
export interface NodeState {
  /** Set once k3s is installed and its configuration could be read. */
  config: K3sConfig | undefined;
  ready: boolean;
  /** The control plane's machine; a control plane is its own. */
  controlPlane: Machine | undefined;
  /** Why it is not ready, as far as the machine knows. */
  trouble: string | undefined;
}

export class Machine {
  readonly id: number;
  readonly world: MachineWorld;
  readonly privateInterfaces: () => readonly { networkId: number; ip: string }[];
  readonly node: NodeState = { config: undefined, ready: false, controlPlane: undefined, trouble: undefined };
  readonly userData: ParsedUserData;
  /** The end of what cloud-init wrote to its log. */
  readonly log: string[] = [];
  cloudInit: CloudInitStatus = "not started";
  /** Images that it holds, by name. */
  readonly pulledImages = new Set<string>();
  /** install-node came to its end. */
  installed = false;
  /** What install-node is at, as the script notes it. */
  stage: string | undefined;
  readonly #arguments: MachineArguments;
  #kubeconfig: string | undefined;
  #hostKey: string | undefined;
  #power: AbortController | undefined;
  #ssh: SshServer | undefined;
  /** What goes wrong in the boot that runs. */
  #faults: readonly BootEffect[] = [];
  /** A containerd that can fetch images runs: one before k3s does, then k3s's own. */
  #containerd = false;

  constructor(args: MachineArguments) {
    this.id = args.id;
    this.world = args.world;
    this.privateInterfaces = args.privateInterfaces;
    this.userData = parseUserData(args.userData);
    this.#arguments = args;
  }

  get hostname(): string {
    return this.userData.hostname ?? this.#arguments.hostname;
  }

  /** Whether it has power. */
  get on(): boolean {
    return this.#power !== undefined;
  }

  /** The administrator's kubeconfig; made once, when the control plane is first asked for it. */
  get kubeconfig(): string {
    this.#kubeconfig ??= simulatedKubeconfig();
    return this.#kubeconfig;
  }

  /** How long `step` takes here, in ms. */
  duration(step: TimedStep): number {
    return this.world.latency.duration(step, `server/${this.id}`);
  }

  /** Turns it on: it boots by itself. */
  powerOn(): void {
    if (this.#power !== undefined) return;
    const power = new AbortController();
    this.#power = power;
    this.#faults = this.world.faults.boot(this.#arguments.name());
    this.#boot(power.signal).catch((error: unknown) => {
      this.cloudInit = "error";
      this.#write(`boot: ${error instanceof Error ? error.message : String(error)}`);
      this.world.changes.notify();
    });
  }

  /** Cuts its power: SSH connections break at once. */
  powerOff(): void {
    this.#power?.abort();
    this.#power = undefined;
    this.#ssh?.close();
    this.#ssh = undefined;
    this.node.ready = false;
    this.world.changes.notify();
  }

  #hangs(at: "ssh" | "cloud-init" | "k3s"): boolean {
    return this.#faults.some((fault) => fault.kind === "hangs" && fault.at === at);
  }

  /** Lets a step take its time. @returns false when the power was cut or the world ended */
  async #take(step: TimedStep, power: AbortSignal): Promise<boolean> {
    const ended = this.world.timeline.begin(`server/${this.#arguments.name()}`, step);
    const passed = await this.world.changes.pause(this.duration(step), power);
    ended();
    return passed;
  }

  async #boot(power: AbortSignal): Promise<void> {
    const { changes } = this.world;
    if (this.#hangs("ssh")) return;
    if (!(await this.#take("boot_until_ssh", power))) return;
    const firstBoot = this.cloudInit === "not started" || this.cloudInit === "running";
    if (firstBoot) {
      this.cloudInit = "running";
      this.#hostKey ??= this.#readHostKey();
    }
    const refused = this.#faults.find((fault) => fault.kind === "ssh-refused");
    if (refused === undefined) await this.#startSsh(power);
    else void this.#startSshLater(refused.ms, power);
    if (!firstBoot) {
      if (this.installed) await this.#startK3s(power);
      return;
    }
    if (this.#hangs("cloud-init")) return;
    if (!(await this.#take("boot_until_runcmd", power))) return;
    const failed = await this.#runCommands(power);
    if (power.aborted) return;
    this.cloudInit = failed ? "error" : this.userData.warnings.length > 0 ? "degraded" : "done";
    changes.notify();
  }

  #readHostKey(): string {
    for (const warning of this.userData.warnings) this.#write(`WARNING: ${warning}`);
    const { hostKey, warning } = chooseHostKey(this.userData.hostKey);
    if (warning !== undefined) this.#write(`WARNING: ssh: ${warning}`);
    return hostKey;
  }

  async #startSshLater(milliseconds: number, power: AbortSignal): Promise<void> {
    if (!(await this.world.changes.pause(milliseconds, power))) return;
    await this.#startSsh(power).catch((error: unknown) => this.#write(`ssh: ${String(error)}`));
  }

  async #startSsh(power: AbortSignal): Promise<void> {
    const address = this.#arguments.publicAddress();
    if (address === null || this.#hostKey === undefined) return;
    const keys = (user: string) => [
      ...(user === "root" ? this.#arguments.authorizedKeys : []),
      ...(this.userData.authorizedKeys.get(user) ?? []),
    ];
    const ssh = await startSshServer({
      address,
      port: this.world.sshPort,
      hostKey: this.#hostKey,
      authorizedKeys: keys,
      admits: this.#arguments.admits,
      execute: (command, signal) => runCommand(this, command, AbortSignal.any([signal, power])),
    });
    if (power.aborted) ssh.close();
    else this.#ssh = ssh;
  }

  /** @returns whether one failed */
  async #runCommands(power: AbortSignal): Promise<boolean> {
    let failed = false;
    for (const command of this.userData.commands) {
      const [name = ""] = typeof command === "string" ? command.trim().split(/\s+/) : command;
      if (name !== `${scriptDirectory}/install-node` || !this.userData.files.has(name)) {
        this.#write(`simulated server: not executed: ${name.split("\n", 1)[0]}`);
        continue;
      }
      const reason = await this.#installNode(power);
      if (reason === undefined) continue;
      failed = true;
      this.#write(`install-node: ${reason}`);
    }
    if (failed)
      this.#write("scripts_user: RuntimeError: Runparts: 1 failures (runcmd) in 1 attempted commands");
    return failed;
  }

  /** What the node's script does. @returns why it failed */
  async #installNode(power: AbortSignal): Promise<string | undefined> {
    const config = readK3sConfig(this.userData.files, this.hostname);
    if (typeof config === "string") return config;
    this.stage = "downloading k3s";
    if (!(await this.#take("install_k3s", power))) return "power was cut";
    this.node.config = config;
    // The control plane's own start must not wait for anything: its images come through its k3s.
    this.#containerd = config.role === "agent";
    void this.#pullImages(power);
    const { nodeIp } = config;
    if (nodeIp !== undefined) {
      this.stage = `waiting for the network interface with ${nodeIp}`;
      const attached = () => this.privateInterfaces().some(({ ip }) => ip === nodeIp);
      const deadline = this.duration("deadline_private_interface");
      if (!(await this.world.changes.until(attached, deadline, power))) {
        return `no network interface has ${nodeIp} after ${seconds(deadline)} s: is the private network attached?`;
      }
    }
    const trouble = await this.#startK3s(power);
    if (trouble !== undefined) return trouble;
    this.stage = "done";
    this.installed = true;
    this.world.changes.notify();
    return undefined;
  }

  /** @returns why k3s did not start in time */
  async #startK3s(power: AbortSignal): Promise<string | undefined> {
    const { config } = this.node;
    if (config === undefined) return "k3s is not installed";
    const { changes } = this.world;
    if (config.role === "agent") {
      const deadline = this.duration("deadline_k3s_start");
      this.stage = `waiting for the control plane at ${config.server}`;
      const joined = () => {
        this.node.controlPlane = this.#findControlPlane(config);
        return this.node.controlPlane !== undefined;
      };
      if (!(await changes.until(joined, deadline, power))) {
        this.#write(`k3s: ${this.node.trouble ?? "no control plane"}`);
        return `k3s did not start within ${seconds(deadline)} s: ${this.node.trouble ?? "no control plane"}`;
      }
    } else {
      this.node.controlPlane = this;
    }
    const step = config.role === "agent" ? "k3s_agent_ready" : "k3s_server_ready";
    this.stage = "starting k3s";
    if (this.#hangs("k3s")) {
      const deadline = this.duration("deadline_k3s_start");
      await changes.pause(deadline, power);
      return `k3s did not start within ${seconds(deadline)} s: see journalctl -u trading-k3s`;
    }
    void this.#handOver(power);
    if (!(await this.#take(step, power))) return "power was cut";
    this.node.trouble = undefined;
    this.node.ready = true;
    changes.notify();
    return undefined;
  }

  /** k3s starts: the containerd that ran before it ends, and its own begins. */
  async #handOver(power: AbortSignal): Promise<void> {
    this.#containerd = false;
    this.world.changes.notify();
    if (!(await this.world.changes.pause(this.duration("containerd_start"), power))) return;
    this.#containerd = true;
    this.world.changes.notify();
  }

  /**
   * Fetches the images that its user data lists, one after the other, beside everything else; once. While no containerd
   * runs nothing comes in, and the image that was under way is gone on with afterwards.
   */
  async #pullImages(power: AbortSignal): Promise<void> {
    const { changes, clock } = this.world;
    const names = (this.userData.files.get(imageList)?.content ?? "").split("\n").map((line) => line.trim());
    for (const image of names) {
      if (image === "" || image.startsWith("#") || this.pulledImages.has(image)) continue;
      const ended = this.world.timeline.begin(`server/${this.#arguments.name()}`, `image ${image}`);
      let left = imagePullMs([megabytesOf(image)], this.world.latency.pulls ?? imagePulls.model);
      while (left > 0) {
        if (!(await changes.until(() => this.#containerd, Infinity, power))) break;
        const began = clock.now();
        const stopped = await changes.until(() => !this.#containerd, left, power);
        if (power.aborted) break;
        left = stopped ? left - (clock.now() - began) : 0;
      }
      ended();
      if (left > 0) return;
      this.pulledImages.add(image);
      changes.notify();
    }
  }

  /** The ready control plane that this agent's configuration names and that takes its token. */
  #findControlPlane(config: K3sConfig): Machine | undefined {
    const url = config.server ?? "";
    const host = URL.canParse(url) ? new URL(url).hostname : "";
    const networks = new Set(this.privateInterfaces().map(({ networkId }) => networkId));
    const machine = this.world
      .machines()
      .find(
        (other) =>
          other !== this &&
          other.on &&
          other.privateInterfaces().some(({ ip, networkId }) => ip === host && networks.has(networkId)),
      );
    if (machine?.node.config?.role !== "server" || !machine.node.ready) {
      this.node.trouble = `nothing answers at ${url}`;
      return undefined;
    }
    if (!config.tokens.some((token) => machine.node.config?.tokens.includes(token))) {
      this.node.trouble = `${url} refused the token: not authorized (is it the control plane's agent-token?)`;
      return undefined;
    }
    return machine;
  }

  #write(line: string): void {
    this.log.push(line);
  }
}

/** Milliseconds as whole seconds, for messages. */
export function seconds(milliseconds: number): number {
  return Math.round(milliseconds / 1_000);
}
