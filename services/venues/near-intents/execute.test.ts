import assert from "node:assert/strict";
import { test } from "node:test";
import type { ExecuteTrade } from "../../core/trading.ts";
import { RefusedCommandError, type MayStillSend } from "../../core/execution-venue.ts";
import { until } from "../../core/testing.ts";
import { encodeBase58 } from "./base58.ts";
import { NearVenue, refusalCode } from "./execute.ts";
import type { IntentStatus, RelayAnswer, RelayListener } from "./relay.ts";
import { readSigner } from "./signing.ts";

/** A relay under the test's control. */
class FakeRelay {
  listener: RelayListener | undefined;
  answer: RelayAnswer = { kind: "answered", response: { kind: "response", id: 1, result: "OK" } };
  readonly requests: unknown[][] = [];
  readonly statuses = new Map<string, IntentStatus["status"]>();
  readonly asked: string[] = [];
  request(
    _method: string,
    params: unknown[],
    _until: number,
    mayStillSend: MayStillSend,
  ): Promise<RelayAnswer> {
    const reason = mayStillSend();
    if (reason !== undefined) return Promise.resolve({ kind: "not_sent", reason });
    this.requests.push(params);
    return Promise.resolve(this.answer);
  }
  status(hash: string): Promise<IntentStatus> {
    this.asked.push(hash);
    return Promise.resolve({
      status: this.statuses.get(hash) ?? "NOT_FOUND_OR_NOT_VALID",
      data: { hash: "tx" },
    });
  }
  close = () => Promise.resolve();
}

function make(graceMs = 50, usedGraceMs = 60_000) {
  const relay = new FakeRelay();
  const venue = new NearVenue({
    openRelay: (listener) => {
      relay.listener = listener;
      return relay;
    },
    signer: readSigner("solver.near", `ed25519:${encodeBase58(Buffer.alloc(32, 7))}`),
    salt: Buffer.from("252812b3", "hex"),
    graceMs,
    usedGraceMs,
  });
  return { relay, venue };
}

type Swap = Extract<ExecuteTrade["instruction"], { kind: "answer_swap" }>;

function command(more: Partial<Swap> = {}, deadlineMs = 60_000): ExecuteTrade {
  return {
    command_id: "2ed6657d-e927-568b-95e1-2665a8aea6a2",
    idempotency_key: "dummy:q",
    strategy: "dummy",
    venue: "near-intents",
    deadline: new Date(Date.now() + deadlineMs).toISOString(),
    limits: { max_amount_out: "997" },
    instruction: {
      kind: "answer_swap",
      quote_id: "q",
      asset_in: "nep141:a",
      asset_out: "nep141:b",
      amount_in: "1000",
      amount_out: "997",
      exact: "in",
      ...more,
    },
  };
}

const never = new AbortController().signal;
const may = () => undefined;

test("an answer is a signed token_diff from our side, with nonce and deadline of the command", async () => {
  const { relay, venue } = make();
  const given = command();
  const order = venue.prepare(given);
  assert.deepEqual(await order.submit(may), { outcome: "accepted" });
  const [[response]] = relay.requests as [[Record<string, unknown>]];
  assert.equal(response["quote_id"], "q");
  assert.deepEqual(response["quote_output"], { amount_out: "997" });
  const signed = response["signed_data"] as {
    payload: { message: string; nonce: string; recipient: string };
  };
  assert.deepEqual(JSON.parse(signed.payload.message), {
    signer_id: "solver.near",
    deadline: given.deadline,
    intents: [{ intent: "token_diff", diff: { "nep141:a": "1000", "nep141:b": "-997" } }],
  });
  assert.equal(signed.payload.recipient, "intents.near");
  assert.equal(signed.payload.nonce, order.reference["nonce"]);
  const nonce = Buffer.from(signed.payload.nonce, "base64");
  assert.equal(nonce.readBigInt64LE(9), BigInt(Date.parse(given.deadline)) * 1_000_000n);
  assert.deepEqual(venue.prepare(given).reference, order.reference, "the same command gives the same bytes");
});

test("a demand of an exact amount out is answered with our amount in", async () => {
  const { relay, venue } = make();
  await venue.prepare(command({ exact: "out" })).submit(may);
  const [[response]] = relay.requests as [[Record<string, unknown>]];
  assert.deepEqual(response["quote_output"], { amount_in: "1000" });
});

test("an asset is not swapped for itself", () => {
  const { venue } = make();
  assert.throws(() => venue.prepare(command({ asset_out: "nep141:a" })), RefusedCommandError);
});

test("the relay's answers are told apart", async () => {
  const { relay, venue } = make();
  const submit = async (answer: RelayAnswer) => {
    relay.answer = answer;
    return venue.prepare(command()).submit(may);
  };
  const response = { kind: "response" as const, id: 1 };
  const late = { message: "quote not found or already finished" };
  assert.deepEqual(await submit({ kind: "answered", response: { ...response, error: late } }), {
    outcome: "rejected",
    reason: { code: "quote_finished", message: late.message },
  });
  const reason = { code: "venue_unreachable", message: "no connection" };
  assert.deepEqual(await submit({ kind: "not_sent", reason }), { outcome: "not_sent", reason });
  assert.equal((await submit({ kind: "unanswered", message: "timeout" })).outcome, "unknown");
  assert.equal(
    (await submit({ kind: "answered", response: { ...response, result: null } })).outcome,
    "unknown",
  );
});

test("only an error that says that the offer was not taken is a refusal", async () => {
  const { relay, venue } = make();
  const submit = async (error: { code?: number; message: string }) => {
    relay.answer = { kind: "answered", response: { kind: "response", id: 1, error } };
    return (await venue.prepare(command()).submit(may)).outcome;
  };
  assert.equal(await submit({ code: -32603, message: "internal error" }), "unknown");
  assert.equal(await submit({ code: -32000, message: "try again later" }), "unknown");
  assert.equal(await submit({ message: "nonce was already used" }), "unknown");
  assert.equal(await submit({ code: -32602, message: "invalid params" }), "rejected");
  assert.equal(await submit({ code: -32000, message: "rate limit exceeded" }), "rejected");
});

test("known refusals have fixed words", () => {
  assert.equal(refusalCode("Invalid signature"), "invalid_signature");
  assert.equal(refusalCode("public key doesn't exist for the account"), "unknown_public_key");
  assert.equal(refusalCode("something new"), undefined);
});

test("a used quote is filled when the relay calls it settled, not earlier", async () => {
  const { relay, venue } = make();
  const given = command();
  const order = venue.prepare(given);
  await order.submit(may);
  const quoteHash = order.reference["quote_hash"] ?? "";
  relay.statuses.set("intent", "TX_BROADCASTED");
  const settlement = venue.settle(given, order.reference, false, never);
  assert.deepEqual(relay.asked, [], "nothing is asked before there is news");
  relay.listener?.onUsed("another quote", { intentHash: "other", txHash: undefined });
  relay.listener?.onUsed(quoteHash, { intentHash: "intent", txHash: "tx0" });
  await until("asked twice", () => relay.asked.length >= 2);
  relay.statuses.set("intent", "SETTLED");
  assert.deepEqual(await settlement, {
    status: "FILLED",
    filled: { kind: "swap", amount_in: "1000", amount_out: "997" },
    reference: { intent_hash: "intent", tx_hash: "tx" },
  });
  assert.ok(relay.asked.every((hash) => hash === "intent"));
});

test("news that comes before settle() is not lost", async () => {
  const { relay, venue } = make();
  const given = command();
  const order = venue.prepare(given);
  const submitted = order.submit(may);
  relay.listener?.onUsed(order.reference["quote_hash"] ?? "", { intentHash: "intent", txHash: undefined });
  relay.statuses.set("intent", "SETTLED");
  await submitted;
  assert.equal((await venue.settle(given, order.reference, false, never)).status, "FILLED");
});

test("a quote that nobody used expires, after its deadline and a grace time", async () => {
  const { relay, venue } = make(100);
  const given = command({}, 100);
  const settlement = await venue.settle(given, venue.prepare(given).reference, true, never);
  assert.ok(Date.now() >= Date.parse(given.deadline) + 100);
  assert.equal(settlement.status, "EXPIRED");
  assert.equal(settlement.reason?.code, "not_chosen");
  assert.ok(relay.asked.length >= 2, "asked at once, because news may have been missed, and at the end");
});

test("a used quote is asked for long after its deadline, before it counts as not settled", async () => {
  const use = async (usedGraceMs: number) => {
    const { relay, venue } = make(0, usedGraceMs);
    const given = command({}, 50);
    const { reference } = venue.prepare(given);
    const settlement = venue.settle(given, reference, false, never);
    relay.listener?.onUsed(reference["quote_hash"] ?? "", { intentHash: "intent", txHash: "tx0" });
    return { relay, settlement, deadline: Date.parse(given.deadline) };
  };
  const late = await use(60_000);
  await until("the deadline has passed", () => Date.now() > late.deadline);
  const asked = late.relay.asked.length;
  await until("asked after the deadline", () => late.relay.asked.length >= asked + 2);
  late.relay.statuses.set("intent", "SETTLED");
  assert.equal((await late.settlement).status, "FILLED");

  const lost = await use(200);
  const { status, reason } = await lost.settlement;
  assert.deepEqual([status, reason?.code], ["EXPIRED", "not_settled"]);
  assert.ok(Date.now() >= lost.deadline + 200);
});

test("a quote that is used while the relay is asked for it a last time is not given up", async () => {
  const { relay, venue } = make(0);
  const given = command({}, 0);
  const { reference } = venue.prepare(given);
  const quoteHash = reference["quote_hash"] ?? "";
  relay.statuses.set("intent", "SETTLED");
  const settlement = venue.settle(given, reference, true, never);
  // The question has been asked, and its answer is on the way.
  assert.deepEqual(relay.asked, [quoteHash]);
  relay.listener?.onUsed(quoteHash, { intentHash: "intent", txHash: "tx0" });
  assert.equal((await settlement).status, "FILLED");
});

test("an order that may not be sent any more is not", async () => {
  const { relay, venue } = make();
  const reason = { code: "kill_switch", message: "stopped" };
  assert.deepEqual(await venue.prepare(command()).submit(() => reason), { outcome: "not_sent", reason });
  assert.deepEqual(relay.requests, []);
});

test("after a reconnection the relay is asked, because it does not repeat its news", async () => {
  const { relay, venue } = make();
  const given = command();
  const order = venue.prepare(given);
  await order.submit(may);
  const settlement = venue.settle(given, order.reference, false, never);
  relay.statuses.set(order.reference["quote_hash"] ?? "", "SETTLED");
  relay.listener?.onReconnected();
  assert.equal((await settlement).status, "FILLED");
});

test("while the relay calls an intent pending, a passed deadline decides nothing", async () => {
  const { relay, venue } = make(0);
  const given = command({}, 0);
  const { reference } = venue.prepare(given);
  const hash = reference["quote_hash"] ?? "";
  relay.statuses.set(hash, "PENDING");
  const settlement = venue.settle(given, reference, true, never);
  await until("asked three times", () => relay.asked.length >= 3);
  relay.statuses.set(hash, "SETTLED");
  assert.equal((await settlement).status, "FILLED");
});

test("an aborted wait leaves the end open", async () => {
  const { venue } = make();
  const given = command();
  const abort = new AbortController();
  const settlement = venue.settle(given, venue.prepare(given).reference, false, abort.signal);
  abort.abort();
  await assert.rejects(settlement);
});
