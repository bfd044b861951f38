/**
 * One round: a cluster is opened and closed by runs that are killed at random moments, in any order and sometimes with the
 * state lost as well; in between and in the end, runs that nobody kills must converge, and nothing may leak.
 */
import assert from "node:assert/strict";
import { existsSync, readdirSync, rmSync } from "node:fs";
import type { LabObjectStore } from "../../lab/objectstore/index.ts";
import { exitCodes } from "../../ops/exit-codes.ts";
import type { Bundle } from "./kills-bundle.ts";
import type { KillableCommand } from "./kills-child.ts";
import { killMoment, type Lengths, Randomness } from "./kills-random.ts";
import { type ChildEnd, type KillMoment, runCommand, Ticks } from "./kills-run.ts";
import { until } from "../until.ts";
import { InfrastructureWorld } from "./world.ts";

/** Arguments of {@link KillRound.start}. */
export interface RoundArguments {
  store: LabObjectStore;
  bundle: Bundle;
  /** Whether the engine goes on with creations that a killed run began (the lab's own way), or forgets them (Pulumi's). */
  adoptsPending: boolean;
}

/** The simulated archiver answers at once, but on a busy machine at once may be late. */
const gateTimeoutSeconds = 120;
/** Servers of the stack `dev`. */
const nodes = 4;

/** What the account and the state must have in common, by kind. */
const types = {
  servers: "hcloud:index/server:Server",
  networks: "hcloud:index/network:Network",
  firewalls: "hcloud:index/firewall:Firewall",
  sshKeys: "hcloud:index/sshKey:SshKey",
  placementGroups: "hcloud:index/placementGroup:PlacementGroup",
} as const;

/** See the module's description. Stop it in the end. */
export class KillRound {
  readonly world: InfrastructureWorld;
  /** What was done, a line each. */
  readonly history: string[] = [];
  /** How many runs of each command were killed. */
  readonly kills: Record<KillableCommand, number> = { up: 0, destroy: 0, open: 0, close: 0 };
  readonly #ticks: Ticks;
  readonly #bundle: Bundle;
  readonly #adoptsPending: boolean;
  /** The state of a cluster was lost: `open` may have to leave the cluster to `close`. */
  #lost = false;

  private constructor(
    world: InfrastructureWorld,
    ticks: Ticks,
    { bundle, adoptsPending }: Omit<RoundArguments, "store">,
  ) {
    this.world = world;
    this.#ticks = ticks;
    this.#bundle = bundle;
    this.#adoptsPending = adoptsPending;
  }

  static async start({ store, ...others }: RoundArguments): Promise<KillRound> {
    const ticks = new Ticks();
    const onAnswer = (): void => ticks.tick("request");
    const world = await InfrastructureWorld.start({ store, onAnswer, gateTimeoutSeconds });
    return new KillRound(world, ticks, others);
  }

  stop(): Promise<void> {
    return this.world.stop();
  }

  /** Runs a command and judges how it ended and what is there then. @throws AssertionError */
  async run(command: KillableCommand, moment?: KillMoment): Promise<ChildEnd> {
    const { world } = this;
    const end = await runCommand({
      world,
      ticks: this.#ticks,
      bundle: this.#bundle,
      adoptsPending: this.#adoptsPending,
      command,
      moment,
    });
    const planned =
      moment === undefined
        ? ""
        : ` (to be killed at ${moment.clock} ${moment.nth} + ${moment.delayMs} ms${moment.group ? ", all of it" : ""})`;
    const ended = end.killed ? "killed" : `ended with ${String(end.code)}`;
    this.history.push(
      `${command}${planned}: ${ended} after ${Math.round(end.ticks.ms)} ms, ${end.ticks.request} requests, ` +
        `${end.ticks.write} writes; then ${world.hetzner.project.servers().length} servers`,
    );
    if (end.killed) this.kills[command]++;
    await this.#demandNothingLost();
    if (end.killed) return end;
    const isRefused = end.code === exitCodes.refused && command === "open" && this.#lost;
    // Plain `up` and `destroy` promise to do no harm, not to converge: after a kill, the others do.
    if (command === "open" && !isRefused) {
      assert.equal(end.code, 0, `open did not converge:\n${end.said}`);
      await this.#demandUp();
    }
    if (command === "close") {
      assert.equal(end.code, 0, `close did not converge:\n${end.said}`);
      await this.#demandClosed();
    }
    return end;
  }

  /** As when the backend with the state, or the runner's disk, is gone. */
  loseState(): void {
    if (!existsSync(this.world.stateFile)) return;
    rmSync(this.world.stateFile);
    this.#lost = true;
    this.history.push("the state is lost");
  }

  /** At any time: a cluster that was opened and has no verified manifest has all of its servers; no name is there twice. */
  async #demandNothingLost(): Promise<void> {
    const { world } = this;
    for (const { clusterId, opened, sealed } of await world.archived()) {
      assert.ok(opened, `${clusterId}: its marker is gone`);
      const servers = world.hetzner.project
        .servers()
        .filter(({ labels }) => labels["cluster-id"] === clusterId);
      if (!sealed)
        assert.equal(
          servers.length,
          nodes,
          `${clusterId} is opened and not sealed, and has ${servers.length} servers`,
        );
    }
    const names = world.account();
    assert.deepEqual([...new Set(names)], names, "nothing is there twice");
  }

  async #demandUp(): Promise<void> {
    const { world } = this;
    const { project } = world.hetzner;
    const ids = [...new Set(project.servers().map(({ labels }) => labels["cluster-id"]))];
    assert.equal(ids.length, 1, "all servers are of one cluster");
    assert.equal(project.servers().length, nodes);
    assert.ok(
      project.servers().every(({ status }) => status === "running"),
      "all run",
    );
    await until("the cluster is opened", () => world.inside.opened.includes(ids[0] ?? ""));
    const state = await world.state();
    assert.deepEqual(state?.pendingCreations, []);
    for (const [kind, type] of Object.entries(types) as [keyof typeof types, string][]) {
      const known: string[] =
        state?.resources.filter((resource) => resource.type === type).map(({ id }) => id) ?? [];
      assert.deepEqual(
        known.sort(),
        project[kind]()
          .map(({ id }) => String(id))
          .sort(),
        `the state knows all ${kind}`,
      );
    }
    this.#lost = false;
  }

  async #demandClosed(): Promise<void> {
    const { world } = this;
    await world.demandEmpty();
    for (const { clusterId, sealed } of await world.archived()) assert.ok(sealed, `${clusterId} is sealed`);
    const processes = `${world.stateFile}.processes`;
    const running = existsSync(processes) ? readdirSync(processes) : [];
    assert.deepEqual(running, [], "no process of a killed run is left");
    this.#lost = false;
  }
}

/** A round without kills, to know how long runs are. */
export async function measureLengths(args: Omit<RoundArguments, "adoptsPending">): Promise<Lengths> {
  const round = await KillRound.start({ ...args, adoptsPending: true });
  try {
    const open = await round.run("open");
    const close = await round.run("close");
    return { open: open.ticks, close: close.ticks };
  } finally {
    await round.stop();
  }
}

/** Plays a round. @throws AssertionError with the round's history */
export async function playRound(
  args: Omit<RoundArguments, "adoptsPending"> & { seed: number; lengths: Lengths },
): Promise<Record<KillableCommand, number>> {
  const random = new Randomness(args.seed);
  const adoptsPending = random.chance(0.5);
  const round = await KillRound.start({ ...args, adoptsPending });
  round.history.push(adoptsPending ? "begun creations are adopted" : "begun creations are forgotten");
  const kill = (command: KillableCommand, share = 1): Promise<ChildEnd> =>
    round.run(command, killMoment(random, command, args.lengths, share));
  try {
    await kill(random.pick(["up", "open"] as const));
    for (let more = random.whole(2, 6); more > 0; more--) {
      if (random.chance(0.15)) round.loseState();
      await kill(random.pick(["open", "open", "up", "close"] as const), 0.6);
    }
    // A whole cluster to destroy.
    if (random.chance(0.5)) await round.run("open");
    for (let more = random.whole(2, 5), share = 1; more > 0; more--, share = 0.5) {
      await kill(random.pick(["destroy", "close"] as const), share);
      if (random.chance(0.15)) round.loseState();
    }
    if (random.chance(0.2)) await kill("open", 0.6);
    await round.run("close");
    return round.kills;
  } catch (error) {
    const history = round.history.map((line) => `  ${line}`).join("\n");
    throw new Error(`${(error as Error).message}\nThe round:\n${history}`, { cause: error });
  } finally {
    await round.stop();
  }
}
