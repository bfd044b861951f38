/** `trading open` and `trading close` on the whole program: after killed runs, lost states, stock that is not there. */
import assert from "node:assert/strict";
import { renameSync, rmSync } from "node:fs";
import { after, before, test } from "node:test";
import type { LabObjectStore } from "../../lab/objectstore/index.ts";
import { closeCluster } from "../../ops/cluster/close.ts";
import { openCluster, OpenFailedError, type OpenOptions } from "../../ops/cluster/open.ts";
import { failedRun } from "../../ops/engine/stack-engine.ts";
import { RefusedError } from "../../ops/run.ts";
import { until } from "../until.ts";
import { playScene, type Scene } from "./scene.ts";
import { type InfrastructureWorld, startBucket, type WorldOptions } from "./world.ts";

let store: LabObjectStore;
before(async () => {
  store = await startBucket();
});
after(() => store.stop());

const scene = (options: Omit<WorldOptions, "store">, play: (scene: Scene) => Promise<void>): Promise<void> =>
  playScene({ store, ...options }, play);

function demandServers({ hetzner }: InfrastructureWorld, expected: number): void {
  assert.equal(hetzner.project.servers().length, expected);
}

/** As if the machine with the state were gone. */
const loseState = (world: InfrastructureWorld): void => rmSync(world.stateFile);

test(
  "opens, does nothing when it is open, closes, does nothing when it is closed",
  { timeout: 200_000 },
  () =>
    scene({}, async ({ world, with: run }) => {
      const opened = await run(openCluster);
      assert.equal(opened.clusterId, await world.opened());
      assert.match(opened.choice, /^fsn1\//);
      assert.deepEqual([opened.tried, opened.cleared, opened.finishedDestroy], [[], [], null]);
      assert.equal(typeof opened.outputs["controlPlaneAddress"], "string");
      assert.equal(opened.outputs["kubeconfig"], undefined, "no secret");
      await world.demandOneCluster();
      const again = await run(openCluster);
      assert.equal(again.clusterId, opened.clusterId);
      await world.demandOneCluster();

      const closed = await run(closeCluster);
      assert.match(closed.destroyed ?? "", new RegExp(`^dev/\\d{4}-\\d\\d-\\d\\d/${opened.clusterId}$`));
      await world.demandEmpty();
      const [archived] = await world.archived();
      assert.equal(archived?.sealed, true);
      assert.deepEqual(await run(closeCluster), { stack: "dev", destroyed: null, cleared: [] });
    }),
);

test(
  "a cluster that no state knows: up names what is in its way, open refuses and says what it costs, close seals and removes it",
  {
    timeout: 200_000,
  },
  () =>
    scene({}, async ({ world, with: run }) => {
      await world.up();
      const clusterId = await world.opened();
      loseState(world);
      const { failures } = await world.failed("up");
      assert.match(failures[0]?.message ?? "", /in the way[^]*dev-kafka-0[^]*trading -- open/);
      demandServers(world, 4);
      loseState(world);
      await assert.rejects(run(openCluster), (error: unknown) => {
        assert.ok(error instanceof RefusedError);
        assert.match(
          error.message,
          new RegExp(`was opened[^]*trading -- close --stack dev[^]*dev/${clusterId}`),
        );
        assert.match(error.message, /costs 0\.\d+ EUR[^]*server dev-k3s-control[^]*0\.\d+ EUR\/h/);
        return true;
      });
      demandServers(world, 4);

      world.inside.conduct = "refuses";
      await assert.rejects(run(closeCluster), RefusedError);
      demandServers(world, 4);
      world.inside.conduct = "seals";
      const closed = await run(closeCluster);
      assert.deepEqual(
        closed.cleared.map(({ cluster, release }) => [cluster.split("/").at(-1), release]),
        [[clusterId, "sealed"]],
      );
      await world.demandEmpty();
      assert.equal((await world.archived())[0]?.sealed, true);
    }),
);

test("a removal by label that was killed after the archiver went is gone on with", { timeout: 200_000 }, () =>
  scene({}, async ({ world, with: run }) => {
    await world.up();
    await world.opened();
    loseState(world);
    // One broker cannot be removed: as if the run had been killed after the control plane.
    const [rule = ""] = world.hetzner.faults.add({
      rules: [
        {
          at: "request",
          method: "DELETE",
          path: `/servers/${world.hetzner.project.servers().find(({ name }) => name === "dev-kafka-1")?.id ?? 0}`,
          effect: { kind: "error", code: "protected" },
        },
      ],
    });
    await assert.rejects(run(closeCluster), /dev-kafka-1[^]*protected/);
    world.hetzner.faults.remove(rule);
    const closed = await run(closeCluster);
    assert.equal(closed.cleared[0]?.release, "removal-begun");
    await world.demandEmpty();
  }),
);

test("a half-made cluster that never held data and that no state knows makes way", { timeout: 200_000 }, () =>
  scene({}, async ({ world, with: run }) => {
    const stop = new AbortController();
    await world
      .up({
        signal: stop.signal,
        onEvent: () => {
          if (world.hetzner.project.servers().length >= 2) stop.abort();
        },
      })
      .catch(() => undefined);
    const before = world.hetzner.project.servers().map(({ id }) => id);
    assert.ok(before.length >= 2);
    renameSync(world.stateFile, `${world.stateFile}.lost`);
    const opened = await run(openCluster);
    assert.deepEqual(
      opened.cleared.map(({ release }) => release),
      ["never-opened"],
    );
    await world.demandOneCluster();
    assert.ok(world.hetzner.project.servers().every(({ id }) => !before.includes(id)));
    await run(closeCluster);
    await world.demandEmpty();
  }),
);

test(
  "no stock at the creation: the half-made cluster goes, the next choice is taken",
  { timeout: 200_000 },
  () =>
    scene(
      {
        faults: {
          rules: [
            {
              at: "request",
              method: "POST",
              path: "/servers",
              when: { nth: [3] },
              effect: { kind: "error", code: "resource_unavailable" },
            },
          ],
        },
      },
      async ({ world, notes, with: run }) => {
        const opened = await run(openCluster);
        assert.equal(opened.tried.length, 1);
        assert.match(opened.tried[0]?.reason ?? "", /resource_unavailable/);
        assert.notEqual(opened.choice, opened.tried[0]?.choice);
        assert.ok(notes.some((line) => /taking the next choice/.test(line)));
        await world.demandOneCluster();
        await run(closeCluster);
        await world.demandEmpty();
      },
    ),
);

test("no stock anywhere: after four choices it fails, and nothing is left", { timeout: 200_000 }, () =>
  scene(
    {
      faults: {
        rules: [
          {
            at: "request",
            method: "POST",
            path: "/servers",
            effect: { kind: "error", code: "resource_unavailable" },
          },
        ],
      },
    },
    async ({ world, with: run }) => {
      await assert.rejects(run(openCluster), (error: unknown) => {
        assert.ok(error instanceof OpenFailedError, String(error));
        assert.match(error.message, /Tried, and not to be had now:\n(.*resource_unavailable\n){4}/);
        assert.match(error.message, /Nothing of the stack is left/);
        return true;
      });
      await world.demandEmpty();
    },
  ),
);

test(
  "no stock and no other choice: what was made goes or is kept as was asked, and what was tried is said",
  {
    timeout: 300_000,
  },
  () =>
    scene(
      {
        config: {
          "trading:locations": '["fsn1"]',
          "trading:brokerServerTypes": '["cpx32"]',
          "trading:controlPlaneServerTypes": '["cpx22"]',
        },
        faults: {
          rules: [
            {
              at: "request",
              method: "POST",
              path: "/servers",
              body: { name: "dev-kafka-1" },
              effect: { kind: "error", code: "resource_unavailable" },
            },
          ],
        },
      },
      async ({ world, notes, with: run }) => {
        const fails = (options: OpenOptions, after: RegExp) =>
          assert.rejects(
            run((parts) => openCluster(parts, options)),
            (error: unknown) => {
              assert.ok(error instanceof OpenFailedError, String(error));
              assert.match(
                error.message,
                /Tried, and not to be had now:\n {2}fsn1\/cpx32\/cpx22: .*resource_unavailable\n/,
              );
              assert.match(error.message, after);
              assert.doesNotMatch(error.message, /excludedCapacity/);
              return true;
            },
          );
        const servers = () => world.hetzner.project.servers().map(({ id }) => id);

        await fails({ keepFailed: true }, /costs 0\.\d+ EUR[^]*server dev-kafka-/);
        const kept = servers();
        assert.ok(kept.length > 0);
        await fails({ keepFailed: true }, /server dev-kafka-/);
        assert.ok(
          kept.every((id) => servers().includes(id)),
          "also when it was begun before",
        );

        await fails({}, /Nothing of the stack is left/);
        await world.demandEmpty();
        await fails({}, /Nothing of the stack is left/);
        await world.demandEmpty();
        assert.ok(!notes.some((line) => /taking the next choice/.test(line)));
      },
    ),
);

test("the account's limit: no other choice is tried, and nothing is left", { timeout: 200_000 }, () =>
  scene({ serverLimit: 3 }, async ({ world, with: run }) => {
    await assert.rejects(run(openCluster), (error: unknown) => {
      assert.ok(error instanceof OpenFailedError, String(error));
      assert.match(
        error.message,
        /resource_limit_exceeded[^]*account's limit[^]*Nothing of the stack is left/,
      );
      assert.doesNotMatch(error.message, /Tried, and not/);
      return true;
    });
    await world.demandEmpty();
  }),
);

test(
  "the program itself fails: what a former run made stays for the next one, with its price",
  { timeout: 200_000 },
  () =>
    scene({}, async ({ world, with: run }) => {
      const mistake = failedRun("up", [
        { urn: undefined, name: undefined, code: undefined, message: "trading:delivery: found 1" },
      ]);
      const failing = () =>
        run((parts) => {
          const up = () => Promise.reject(mistake);
          const engine = new Proxy(parts.engine, {
            get: (target, name) => {
              const member: unknown = name === "up" ? up : Reflect.get(target, name, target);
              return typeof member === "function" ? (member.bind(target) as unknown) : member;
            },
          });
          return openCluster({ ...parts, engine });
        });
      // Nothing is there: nothing is to be said but the mistake.
      await assert.rejects(failing(), mistake);
      world.hetzner.faults.add({
        rules: [
          {
            at: "request",
            method: "POST",
            path: "/servers",
            body: { name: "dev-kafka-2" },
            effect: { kind: "error", code: "server_error" },
          },
        ],
      });
      await world.failed("up");
      const made = world.hetzner.project.servers().length;
      assert.ok(made > 0);
      await assert.rejects(failing(), (error: unknown) => {
        assert.ok(error instanceof OpenFailedError, String(error));
        assert.match(
          error.message,
          /trading:delivery: found 1[^]*What stays costs 0\.\d+ EUR per started hour/,
        );
        return true;
      });
      demandServers(world, made);
    }),
);

test(
  "a destroy that was killed after the seal: open finishes it and opens a new cluster",
  { timeout: 200_000 },
  () =>
    scene({}, async ({ world, with: run }) => {
      await world.up();
      const first = await world.opened();
      const stop = new AbortController();
      await world
        .destroy({
          signal: stop.signal,
          onEvent: () => {
            if (world.hetzner.project.servers().length < 4) stop.abort();
          },
        })
        .catch(() => undefined);
      assert.notEqual(await world.state(), undefined);
      const opened = await run(openCluster);
      assert.match(opened.finishedDestroy ?? "", new RegExp(`/${first}$`));
      assert.notEqual(opened.clusterId, first);
      await world.demandOneCluster();
      await run(closeCluster);
      await world.demandEmpty();
    }),
);

test(
  "what is gone though the state knows it: open makes it again, but no server of an opened cluster",
  { timeout: 200_000 },
  () =>
    scene({}, async ({ world, notes, with: run }) => {
      const { hetzner } = world;
      const [rule = ""] = hetzner.faults.add({
        rules: [
          {
            at: "request",
            method: "POST",
            path: "/servers",
            effect: { kind: "error", code: "server_error" },
          },
        ],
      });
      await world.failed("up");
      hetzner.faults.remove(rule);
      const ask = async (method: string, route: string, body?: unknown): Promise<void> => {
        const answer = await fetch(hetzner.endpoint + route, {
          method,
          headers: { authorization: `Bearer ${hetzner.token}`, "content-type": "application/json" },
          ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        });
        assert.ok(answer.ok, `${method} ${route}: ${answer.status}`);
      };
      // As a destroy that was killed between the answers of these requests and its next write leaves it.
      const [network] = hetzner.project.networks();
      const [group] = hetzner.project.placementGroups();
      await ask("POST", `/networks/${network?.id ?? 0}/actions/delete_subnet`, { ip_range: "10.0.1.0/24" });
      await ask("DELETE", `/placement_groups/${group?.id ?? 0}`);
      // The deletion is an action: open must not begin while it runs.
      await until("the subnet is gone", () => hetzner.project.networks()[0]?.subnets.length === 0);
      const opened = await run(openCluster);
      await world.demandOneCluster();
      assert.deepEqual([opened.cleared, hetzner.project.networks().length], [[], 1]);
      assert.deepEqual(
        hetzner.project.networks().map(({ id }) => id),
        [network?.id],
        `what is there stays; told:\n${notes.join("\n")}`,
      );

      const clusterId = await world.opened();
      const lost = hetzner.project.servers().find(({ name }) => name === "dev-kafka-2");
      await ask("DELETE", `/servers/${lost?.id ?? 0}`);
      await until("the server is gone", () => hetzner.project.servers().length === 3);
      await assert.rejects(run(openCluster), (error: unknown) => {
        assert.ok(error instanceof RefusedError, String(error));
        assert.match(
          error.message,
          new RegExp(`${clusterId} was opened[^]*nodes-kafka-2[^]*trading -- close --stack dev`),
        );
        return true;
      });
      demandServers(world, 3);
      await run(closeCluster);
      await world.demandEmpty();
      assert.equal((await world.archived())[0]?.sealed, true);
    }),
);
