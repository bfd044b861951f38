import assert from "node:assert/strict";
import { afterEach, describe, it } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import type { NearQuote } from "../../session/index.ts";
import type { FaultPlan } from "../faults.ts";
import { type LabNear, startNear } from "./index.ts";
import { Maker, offer, rpc, someQuotes } from "./testing/client.ts";

let near: LabNear;
afterEach(async () => near.close());

/** A market maker with quotes to answer. */
async function start(
  faults: Omit<FaultPlan, "seed">,
  count = 1,
): Promise<{ maker: Maker; quotes: NearQuote[] }> {
  near = await startNear({ market: "replay", settlementMs: 10, faults: { seed: 1, ...faults } });
  const maker = await Maker.connect(near);
  await maker.call("subscribe", "quote");
  await maker.call("subscribe", "quote_status");
  const quotes = someQuotes(count);
  await near.play(quotes);
  return { maker, quotes };
}

async function until(what: string, probe: () => boolean): Promise<void> {
  const deadline = Date.now() + 10_000;
  while (!probe()) {
    assert.ok(Date.now() < deadline, `${what} did not come within 10 s`);
    await delay(5);
  }
}

describe("the relay's faults", () => {
  for (const [kind, answer, settled] of [
    ["timeout_after_accept", "nothing", 1],
    ["error_after_accept", "internal error", 1],
    ["server_error", "internal error", 0],
    ["rate_limited", "rate limit exceeded", 0],
  ] as const) {
    it(`${kind}: the maker hears "${answer}", and ${settled} offer settles`, async () => {
      const { maker, quotes } = await start({ rates: { [kind]: 1 } });
      const { response } = offer(near, quotes[0] as NearQuote);
      let heard = "nothing";
      void maker.call("quote_response", response).then(({ error }) => (heard = error?.message ?? "OK"));
      // Answered in order: when this is, the offer has been dealt with.
      await maker.call("unsubscribe", "none");
      assert.equal(heard, answer);
      assert.equal(near.faultCounts()[kind], 1);
      if (settled === 1) await until("the settlement", () => near.book().settled.length === 1);
      assert.equal(near.book().offers.length, settled);
      // The same bytes again are no second trade.
      void maker.call("quote_response", response);
      await maker.call("unsubscribe", "none");
      assert.deepEqual([near.book().duplicates, near.book().repeats], [0, settled]);
    });
  }

  it("drop_socket: the connection ends, before the offer is taken or after it", async () => {
    const { quotes } = await start({ rates: { drop_socket: 1 } }, 10);
    for (const quote of quotes) {
      const maker = await Maker.connect(near);
      void maker.call("quote_response", offer(near, quote).response);
      await new Promise((resolve) => maker.socket.once("close", resolve));
    }
    assert.equal(near.faultCounts().drop_socket, 10);
    const { length } = near.book().offers;
    assert.ok(length > 0 && length < 10, `${length} of 10 were taken`);
  });

  it("news: twice, late or never; the status RPC fails where the plan says so", async () => {
    const twice = await start({ rates: { answer_twice: 1 } });
    const first = offer(near, twice.quotes[0] as NearQuote);
    await twice.maker.call("quote_response", first.response);
    const news = (maker: Maker) => maker.events.filter((event) => "tx_hash" in event).length;
    await until("both", () => news(twice.maker) === 2);
    assert.equal(near.book().settled.length, 1);
    await near.close();

    const silent = await start({ rates: { no_news: 1 }, askRates: { server_error: 1 } });
    const second = offer(near, silent.quotes[0] as NearQuote);
    await silent.maker.call("quote_response", second.response);
    await until("the settlement", () => near.book().settled.length === 1);
    assert.equal(news(silent.maker), 0);
    assert.equal((await rpc(near, "get_status", [{ intent_hash: second.hash }])).status, 500);
    assert.equal(near.askFaultCounts().server_error, 1);
    await near.close();

    const late = await start({ rates: { late_result: 1 }, lateMs: 100 });
    const third = offer(near, late.quotes[0] as NearQuote);
    await late.maker.call("quote_response", third.response);
    await until("the late news", () => news(late.maker) === 1);
    const settledAt = near.book().settled[0]?.settledAt ?? Infinity;
    assert.ok(Date.now() - settledAt >= 95, `${Date.now() - settledAt} ms late`);
  });
});

describe("the relay's book and events", () => {
  it("lists offers so that a judge tells a second trade from a repeat", async () => {
    const { maker, quotes } = await start({ rates: {} }, 2);
    const [quote, other] = quotes as [NearQuote, NearQuote];
    const good = offer(near, quote);
    for (let sent = 0; sent < 3; sent++) await maker.call("quote_response", good.response);
    await maker.call("quote_response", offer(near, quote).response);
    await maker.call("quote_response", offer(near, other, { salt: "00000000" }).response);
    const { offers, duplicates, repeats } = near.book();
    assert.deepEqual(
      offers.map(({ quoteId, outcome, repeats: again, isDuplicate }) => [
        quoteId,
        outcome,
        again,
        isDuplicate,
      ]),
      [
        [quote.quote_id, "accepted", 2, false],
        [quote.quote_id, "quote not found or already finished", 0, true],
        [other.quote_id, "invalid salt", 0, false],
      ],
    );
    assert.deepEqual([duplicates, repeats], [1, 2]);
  });

  it("settles only what the accounts can pay", async () => {
    const { maker, quotes } = await start({ rates: {} }, 2);
    const [quote, other] = quotes as [NearQuote, NearQuote];
    const given = quote.exact_amount_out ?? "1000";
    near.setBalances(near.signerId, { [quote.defuse_asset_identifier_out]: given });
    await maker.call("quote_response", offer(near, quote).response);
    await until("the settlement", () => near.book().settled.length === 1);
    assert.equal(near.balances(near.signerId)?.[quote.defuse_asset_identifier_out], "0");
    near.setBalances(near.signerId, {});
    const poor = offer(near, other);
    assert.equal((await maker.call("quote_response", poor.response)).result, "OK");
    await until("the failure", () => near.book().refused["insufficient balance or overflow"] === 1);
    const { body } = await rpc(near, "get_status", [{ intent_hash: poor.hash }]);
    assert.equal((body.result as { status: string }).status, "NOT_FOUND_OR_NOT_VALID");
  });

  it("sends a subscription's events in the shape that it asks for", async () => {
    near = await startNear({ market: "replay", eventShape: "documentation", settlementMs: 5 });
    const documented = await Maker.connect(near);
    const nested = await Maker.connect(near);
    for (const kind of ["quote", "quote_status"]) {
      await documented.call("subscribe", kind);
      await nested.call("subscribe", kind, { lab_event_shape: "solver" });
    }
    const quotes = someQuotes(4);
    await near.play(quotes);
    const { response, hash } = offer(near, quotes[0] as NearQuote);
    await documented.call("quote_response", response);
    const status = await documented.event((event) => event.quote_hash === hash);
    await nested.event((event) => event.quote_hash === hash);
    assert.deepEqual(Object.keys(status), ["quote_hash", "intent_hash", "tx_hash"]);
    assert.deepEqual(new Set(documented.shapes), new Set(["subscribe"]));
    assert.deepEqual(new Set(nested.shapes), new Set(["event"]));
  });
});
