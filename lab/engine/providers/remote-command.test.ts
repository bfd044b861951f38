import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { generateKeyPairSync } from "node:crypto";
import { EventEmitter } from "node:events";
import type { AddressInfo } from "node:net";
import { after, before, test } from "node:test";
import ssh2 from "ssh2";
import { ProviderError } from "../errors.ts";
import { checkInputs, guardOutputs } from "../inputs.ts";
import { asSecret, masked, plainMap, type PropertyMap } from "../properties.ts";
import { testContext } from "../testing/context.ts";
import { openSshForms } from "./openssh-key.ts";
import { remoteCommand } from "./remote-command.ts";

function key(): { publicKey: string; privateKey: string } {
  const forms = openSshForms(generateKeyPairSync("ed25519").privateKey);
  assert.ok(forms);
  return forms;
}

const host = key();
const user = key();

/** An SSH server that runs what it is asked in a real shell, takes only `user`'s key, and accepts one variable. */
function createSshServer(): ssh2.Server {
  return new ssh2.Server({ hostKeys: [host.privateKey] }, (client) => {
    const allowed = ssh2.utils.parseKey(user.publicKey);
    assert.ok(!(allowed instanceof Error));
    client.on("error", () => undefined);
    client.on("authentication", (attempt) => {
      if (attempt.method !== "publickey" || !attempt.key.data.equals(allowed.getPublicSSH())) {
        attempt.reject(["publickey"]);
      } else if (attempt.signature === undefined || attempt.blob === undefined) attempt.accept();
      else if (allowed.verify(attempt.blob, attempt.signature) === true) attempt.accept();
      else attempt.reject();
    });
    client.on("session", (acceptSession) => {
      const session = acceptSession();
      const variables: Record<string, string> = {};
      session.on("env", (accept, reject, info) => {
        if (info.key === "REFUSED") {
          reject?.();
          return;
        }
        variables[info.key] = info.val;
        accept?.();
      });
      session.on("exec", (accept, _reject, { command }) => {
        const channel = accept();
        const shell = spawn("/bin/sh", ["-c", command], {
          env: { PATH: process.env["PATH"], ...variables },
          // Its own group, so that what the shell started ends with it.
          detached: true,
        });
        channel.pipe(shell.stdin);
        shell.stdin.on("error", () => undefined);
        shell.stdout.pipe(channel, { end: false });
        shell.stderr.pipe(channel.stderr, { end: false });
        shell.once("close", (code, signal) => {
          shells.emit("exit", signal);
          channel.exit(code ?? 1);
          channel.end();
        });
        channel.once("close", () => {
          if (shell.exitCode === null && shell.pid !== undefined) process.kill(-shell.pid, "SIGKILL");
        });
      });
    });
  });
}

/** Emits `exit` with the signal when a shell ends. */
const shells = new EventEmitter();
let server: ssh2.Server;
let port = 0;

function listen(at: number): Promise<void> {
  server = createSshServer();
  return new Promise((resolve) => {
    server.listen(at, "127.0.0.1", () => {
      port = (server.address() as AddressInfo).port;
      resolve();
    });
  });
}

before(async () => listen(0));
after(() => void server.close());

function connection(given: PropertyMap = {}): PropertyMap {
  return {
    host: "127.0.0.1",
    port,
    user: "root",
    privateKey: user.privateKey,
    hostKey: host.publicKey.trim(),
    ...given,
  };
}

function inputs(given: PropertyMap): PropertyMap {
  return plainMap(checkInputs(remoteCommand, { connection: connection(), ...given }, undefined, "x"));
}

test("commands run over SSH, with input, environment and both outputs, and at the end their delete command", async () => {
  const lines: string[] = [];
  const context = testContext({ log: (_severity, line) => void lines.push(line) });
  const created = await remoteCommand.create(
    inputs({
      create: "cat; echo $GREETING; echo oops >&2",
      stdin: "in\n",
      environment: { GREETING: "hello", REFUSED: "x" },
    }),
    context,
  );
  assert.deepEqual([created.outputs["stdout"], created.outputs["stderr"]], ["in\nhello", "oops"]);
  assert.deepEqual(lines.sort(), ["hello", "in", "oops"]);
  const recorded = {
    ...created,
    inputs: inputs({ create: "true", update: 'echo "was: $PULUMI_COMMAND_STDOUT"' }),
  };
  const updated = await remoteCommand.update?.(recorded, recorded.inputs, context);
  assert.equal(updated?.["stdout"], "was: in\nhello");
  const deleting = { ...created, inputs: inputs({ delete: "echo cannot; exit 7" }) };
  await assert.rejects(remoteCommand.delete(deleting, context), (error: unknown) => {
    assert.ok(error instanceof ProviderError);
    assert.match(error.message, /the remote command exited with 7: echo cannot; exit 7\ncannot/);
    return true;
  });
  await remoteCommand.delete({ ...created, inputs: inputs({}) }, context);
});

test("with a secret connection the outputs are secret too", () => {
  const given = { connection: asSecret(connection()), create: "true" };
  const outputs = guardOutputs(remoteCommand, { ...plainMap(given), stdout: "kubeconfig" }, given, [
    "connection",
  ]);
  assert.deepEqual(masked(outputs), { connection: "[secret]", create: "true", stdout: "[secret]" });
});

test("a host with another key than the pinned one is not trusted, at once", async () => {
  const foreign = inputs({
    create: "touch /tmp/never",
    connection: connection({ hostKey: key().publicKey }),
  });
  await assert.rejects(
    remoteCommand.create(foreign, testContext()),
    /root@127\.0\.0\.1:\d+ does not have the pinned host key/,
  );
});

test("a login that is refused and a host that does not answer are errors after the allowed attempts", async () => {
  const stranger = connection({ privateKey: key().privateKey, dialErrorLimit: 1 });
  await assert.rejects(
    remoteCommand.create(inputs({ create: "true", connection: stranger }), testContext()),
    /root@127\.0\.0\.1:\d+ refused the login/,
  );
  const nobody = connection({ port: 1, dialErrorLimit: 2 });
  await assert.rejects(
    remoteCommand.create(inputs({ create: "true", connection: nobody }), testContext()),
    /cannot connect to root@127\.0\.0\.1:1 after 3 attempts: .*ECONNREFUSED/,
  );
});

test("a host that boots late is waited for", async () => {
  const at = port;
  await new Promise<void>((resolve) => void server.close(() => resolve()));
  const patient = inputs({ create: "echo up", connection: connection({ port: at, dialErrorLimit: 60 }) });
  const running = remoteCommand.create(patient, testContext());
  const early = await Promise.race([
    running.then(() => "done"),
    new Promise((resolve) => setTimeout(resolve, 300, "waiting")),
  ]);
  assert.equal(early, "waiting");
  await listen(at);
  assert.equal((await running).outputs["stdout"], "up");
});

test("a stop ends the command on the other side too", async () => {
  const stop = new AbortController();
  const context = testContext({
    signal: stop.signal,
    log: (_severity, line) => {
      if (line === "begun") stop.abort(new Error("stopped"));
    },
  });
  const ended = new Promise((resolve) => shells.once("exit", resolve));
  await assert.rejects(remoteCommand.create(inputs({ create: "echo begun; sleep 600" }), context), /stopped/);
  assert.equal(await ended, "SIGKILL");
});
