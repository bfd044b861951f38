import assert from "node:assert/strict";
import { test } from "node:test";
import { testContext } from "../core/testing.ts";
import { TransactionalProducer } from "./transaction.ts";
import {
  TransactionLostError,
  type TransactionClient,
  type TransactionRecord,
} from "./transaction-client.ts";

/** A coordinator and a log: what is written counts when it is committed. */
class FakeClient implements TransactionClient {
  readonly committed: string[][] = [];
  readonly steps: string[] = [];
  #written: string[] = [];
  #gate = Promise.resolve();
  release: () => void = () => undefined;
  failAt: string | undefined;
  disconnected = false;
  hold(): void {
    this.#gate = new Promise((resolve) => (this.release = resolve));
  }
  async #step(name: string): Promise<void> {
    this.steps.push(name);
    await this.#gate;
    if (this.failAt === name) throw new TransactionLostError("id", name, new Error("old epoch"), true);
  }
  init = () => Promise.resolve();
  begin = () => this.#step("begin");
  async write(records: readonly TransactionRecord[]): Promise<void> {
    await this.#step("write");
    this.#written.push(...records.map(({ value }) => value.toString()));
  }
  async commit(): Promise<void> {
    await this.#step("commit");
    this.committed.push(this.#written.splice(0));
  }
  disconnect = async () => {
    this.disconnected = true;
  };
}

function record(value: string): TransactionRecord {
  return { topic: "t", partition: 0, key: "k", value: Buffer.from(value) };
}

function make() {
  const client = new FakeClient();
  const producer = new TransactionalProducer(client, "id", [{ topic: "t", partition: 0 }], testContext());
  return { client, producer };
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

test("what is queued together, or while a transaction is under way, is committed together and in order", async () => {
  const { client, producer } = make();
  client.hold();
  const first = Promise.all([producer.send([record("1"), record("2")]), producer.send([record("3")])]);
  await turn();
  const second = Promise.all(["4", "5", "6"].map((value) => producer.send([record(value)])));
  client.release();
  await Promise.all([first, second]);
  assert.deepEqual(client.committed, [
    ["1", "2", "3"],
    ["4", "5", "6"],
  ]);
  await producer.close();
});

test("the next transaction is open before it is needed, and ended when nothing comes", async () => {
  const { client, producer } = make();
  await producer.send([record("1")]);
  await turn();
  assert.deepEqual(client.steps, ["begin", "write", "commit", "begin"]);
  await producer.send([record("2")]);
  await turn();
  assert.deepEqual(client.steps.slice(4), ["write", "commit", "begin"]);
  await producer.close();
  assert.deepEqual(client.steps.slice(7), ["commit"]);
  assert.deepEqual(client.committed, [["1"], ["2"], []]);
  assert.equal(client.disconnected, true);
});

test("no one is told that records are committed before they are", async () => {
  const { client, producer } = make();
  client.hold();
  let done = false;
  const sent = producer.send([record("1")]).then(() => (done = true));
  await turn();
  assert.equal(done, false);
  client.release();
  await sent;
  await producer.close();
});

for (const step of ["begin", "write", "commit"]) {
  test(`a producer that is fenced at ${step} says so to all that wait, and to everybody after them`, async () => {
    const { client, producer } = make();
    client.failAt = step;
    const waiting = [producer.send([record("1")]), producer.send([record("2")])];
    for (const each of waiting) await assert.rejects(each, TransactionLostError);
    assert.equal((await producer.lost).fenced, true);
    await assert.rejects(producer.send([record("3")]), TransactionLostError);
    assert.deepEqual(client.committed.flat(), []);
    await producer.close();
    assert.equal(client.disconnected, true);
  });
}

test("records that are not urgent leave with the next ones, in order, or by themselves after a while", async () => {
  const { client, producer } = make();
  const patient = producer.send([record("1")], false);
  await turn();
  assert.deepEqual(client.steps, []);
  await Promise.all([patient, producer.send([record("2")])]);
  await producer.send([record("3")], false);
  const last = producer.send([record("4")], false);
  await producer.close();
  await last;
  assert.deepEqual(client.committed.slice(0, 3), [["1", "2"], ["3"], ["4"]]);
});

test("what is given up is not waited for, and whoever waits is told", async () => {
  const { client, producer } = make();
  client.hold();
  const sent = producer.send([record("1")]);
  await turn();
  await producer.abandon();
  await assert.rejects(sent, TransactionLostError);
  assert.equal((await producer.lost).fenced, false);
  assert.equal(client.disconnected, true);
  client.release();
});

test("records that no broker would take are refused by size, and the others go on", async () => {
  const { client, producer } = make();
  await assert.rejects(
    producer.send([record("x".repeat(900_001))]),
    /has 900072 bytes|bytes, the limit is 900000/,
  );
  await producer.send([record("1")]);
  assert.deepEqual(client.committed, [["1"]]);
  await producer.close();
});

test("transactions stay below a batch's bytes", async () => {
  const { client, producer } = make();
  const large = "x".repeat(400_000);
  await Promise.all([large, large, large].map((value) => producer.send([record(value)])));
  assert.deepEqual(
    client.committed.map((values) => values.length),
    [2, 1],
  );
  await producer.close();
});
