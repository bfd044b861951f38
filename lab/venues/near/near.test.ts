import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { createServer } from "node:http";
import { after, before, beforeEach, afterEach, describe, it } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import fc from "fast-check";
import { createSession, type NearQuote } from "../../session/index.ts";
import { VenuePortInUseError } from "../socket.ts";
import { decodeBase58, encodeBase58 } from "./base58.ts";
import { type LabNear, startNear } from "./index.ts";
import { nearKeyPair, nep413Hash, signEd25519, verifyEd25519 } from "./nep413.ts";
import { makeNonce, parseNonce } from "./nonce.ts";
import { type Fields, type Incoming, Maker, offer, rpc, someQuotes } from "./testing/client.ts";

describe("the NEAR relay", () => {
  let near: LabNear;
  let maker: Maker;
  beforeEach(async () => {
    near = await startNear({ market: "replay" });
    maker = await Maker.connect(near);
  });
  afterEach(async () => near.close());

  it("lets nobody in without the token", async () => {
    const stranger = new Maker(near, "wrong");
    const error = await new Promise<Error>((resolve) => stranger.socket.once("error", resolve));
    assert.match(error.message, /401/);
    assert.equal((await rpc(near, "get_status", [{ intent_hash: "x" }], "wrong")).status, 401);
  });

  it("sends each quote once, in both event shapes, and a replay waits for the subscriber", async () => {
    const { nearQuotes } = await createSession({ events: 500, seed: 2 });
    const playing = near.play(nearQuotes);
    const subscribed = await maker.call("subscribe", "quote");
    assert.equal(await playing, 100);
    assert.deepEqual(
      maker.events,
      nearQuotes.map((quote) => ({ subscription: subscribed.result, ...quote })),
    );
    assert.deepEqual(new Set(maker.shapes), new Set(["subscribe", "event"]));
    assert.equal((await maker.call("unsubscribe", subscribed.result)).result, "OK");
    assert.match((await maker.call("unsubscribe", subscribed.result)).error?.message ?? "", /not found/);
  });

  it("holds a replay's rate and goes on from the next quote after a reconnect", async () => {
    await maker.call("subscribe", "quote");
    const quotes = someQuotes(60);
    const started = performance.now();
    const playing = near.play(quotes, { ratePerSecond: 60 });
    await maker.event((event) => event.quote_id === quotes[19]?.quote_id);
    maker.socket.close();
    await new Promise((resolve) => maker.socket.once("close", resolve));
    const again = await Maker.connect(near);
    await again.call("subscribe", "quote");
    await playing;
    assert.ok(performance.now() - started > 800, "60 quotes at 60 a second take about a second");
    assert.ok(again.events.length > 0);
    assert.equal(again.events.at(-1)?.quote_id, quotes.at(-1)?.quote_id);
    const first = quotes.findIndex((quote) => quote.quote_id === again.events[0]?.quote_id);
    assert.deepEqual(
      again.events.map((event) => event.quote_id),
      quotes.slice(first).map((quote) => quote.quote_id),
    );
  });

  it("stops a replay at once when asked to", async () => {
    const playing = near.play(someQuotes(5), { signal: AbortSignal.timeout(50) });
    await assert.rejects(playing, { name: "AbortError" });
  });

  it("sends what a filter lets through, and doesn't count the rest", async () => {
    const quotes = someQuotes(200);
    const asset = quotes[0]?.defuse_asset_identifier_in ?? "";
    await maker.call("subscribe", "quote", { tokens_in: [asset], tokens_out: [] });
    const expected = quotes.filter((quote) => quote.defuse_asset_identifier_in === asset);
    assert.equal(await near.play(quotes), expected.length);
    assert.deepEqual(
      maker.events.map((event) => event.quote_id),
      expected.map((quote) => quote.quote_id),
    );
  });

  it("settles a good offer once: statuses, event, and the book", async () => {
    await maker.call("subscribe", "quote");
    await maker.call("subscribe", "quote_status");
    const quotes = someQuotes(20);
    const [withIn, withOut] = [true, false].map((wanted) =>
      quotes.find((quote) => (quote.exact_amount_in !== undefined) === wanted),
    );
    assert.ok(withIn && withOut);
    await near.play([withIn, withOut]);
    for (const quote of [withIn, withOut]) {
      const { response, hash } = offer(near, quote);
      assert.equal((await maker.call("quote_response", response)).result, "OK");
      assert.match(
        String(((await rpc(near, "get_status", [{ intent_hash: hash }])).body.result as Fields).status),
        /PENDING|TX_BROADCASTED|SETTLED/,
      );
      const event = await maker.event((fields) => fields.quote_hash === hash);
      const status = (await rpc(near, "get_status", [{ intent_hash: event.intent_hash }])).body.result;
      assert.deepEqual(status, {
        intent_hash: event.intent_hash,
        status: "SETTLED",
        data: { hash: event.tx_hash },
      });
      // The same bytes again are harmless, and settle nothing.
      assert.equal((await maker.call("quote_response", response)).result, "OK");
    }
    const book = near.book();
    assert.equal(book.settled.length, 2);
    assert.equal(book.repeats, 2);
    assert.equal(book.duplicates, 0);
    assert.deepEqual(book.settled[0]?.diff, {
      [withIn.defuse_asset_identifier_in]: withIn.exact_amount_in,
      [withIn.defuse_asset_identifier_out]: "-1000",
    });
  });

  it("refuses a second, different offer for one quote, and a used nonce, as duplicates", async () => {
    await maker.call("subscribe", "quote");
    await maker.call("subscribe", "quote_status");
    const [first, second] = someQuotes(2) as [NearQuote, NearQuote];
    await near.play([first, second]);
    const deadlineMs = Date.now() + 120_000;
    const nonce = makeNonce({ salt: near.salt, deadlineMs }, randomBytes(15));
    const good = offer(near, first, { nonce, deadlineMs });
    assert.equal((await maker.call("quote_response", good.response)).result, "OK");
    const other = offer(near, first);
    assert.equal(
      (await maker.call("quote_response", other.response)).error?.message,
      "quote not found or already finished",
    );
    await maker.event((event) => event.quote_hash === good.hash);
    const reused = offer(near, second, { nonce, deadlineMs });
    assert.equal(
      (await maker.call("quote_response", reused.response)).error?.message,
      "nonce was already used",
    );
    assert.equal(near.book().settled.length, 1);
    assert.equal(near.book().duplicates, 2);
  });

  it("settles only one of two offers that share a nonce", async () => {
    await maker.call("subscribe", "quote");
    const quotes = someQuotes(2);
    await near.play(quotes);
    const deadlineMs = Date.now() + 120_000;
    const nonce = makeNonce({ salt: near.salt, deadlineMs }, randomBytes(15));
    const offers = quotes.map((quote) => offer(near, quote, { nonce, deadlineMs }));
    for (const { response } of offers) await maker.call("quote_response", response);
    const status = async (hash: string) =>
      ((await rpc(near, "get_status", [{ intent_hash: hash }])).body.result as Fields).status;
    const deadline = Date.now() + 10_000;
    while (near.book().refused["nonce was already used"] === undefined && Date.now() < deadline)
      await delay(5);
    assert.deepEqual(await Promise.all(offers.map(({ hash }) => status(hash))), [
      "SETTLED",
      "NOT_FOUND_OR_NOT_VALID",
    ]);
    assert.equal(near.book().settled.length, 1);
  });

  it("refuses an offer after the auction, or for a quote that never was", async () => {
    await maker.call("subscribe", "quote");
    const quote = { ...(someQuotes(1)[0] as NearQuote), min_wait_ms: 1, protocol_fee_included: true };
    await near.play([quote]);
    await delay(100); // the window of such a quote is 51 ms
    for (const late of [quote, someQuotes(2)[1] as NearQuote]) {
      const { error } = await maker.call("quote_response", offer(near, late).response);
      assert.equal(error?.message, "quote not found or already finished");
    }
  });

  it("refuses what is signed wrongly, with the contract's reasons", async () => {
    await maker.call("subscribe", "quote");
    const stranger = nearKeyPair(randomBytes(32)).privateKey;
    const wrong: [string, (quote: NearQuote) => Fields][] = [
      ["public key doesn't exist", (quote) => offer(near, quote, { privateKey: stranger }).response],
      ["public key doesn't exist", (quote) => offer(near, quote, { signerId: "someone.near" }).response],
      ["invalid salt", (quote) => offer(near, quote, { salt: "00000000" }).response],
      ["expired", (quote) => offer(near, quote, { deadlineMs: Date.now() - 1 }).response],
      ["wrong recipient", (quote) => offer(near, quote, { recipient: "other.near" }).response],
      [
        "invalid nonce, expected version 1",
        (quote) => offer(near, quote, { nonce: randomBytes(32) }).response,
      ],
      ["invalid nonce, expected 32", (quote) => offer(near, quote, { nonce: randomBytes(16) }).response],
      ["does not match the quote", (quote) => offer(near, quote, { signedAmount: "999" }).response],
      ["deadline too early", (quote) => offer(near, quote, { deadlineMs: Date.now() + 5_000 }).response],
      [
        "later than its nonce's",
        (quote) => {
          const nonce = makeNonce({ salt: near.salt, deadlineMs: Date.now() + 60_000 }, randomBytes(15));
          return offer(near, quote, { nonce }).response;
        },
      ],
      [
        "invalid signature",
        (quote) => {
          const { response } = offer(near, quote);
          return {
            ...response,
            signed_data: {
              ...response.signed_data,
              signature: offer(near, quote).response.signed_data.signature,
            },
          };
        },
      ],
      ["invalid params", (quote) => ({ quote_id: quote.quote_id })],
    ];
    const quotes = someQuotes(wrong.length);
    await near.play(quotes);
    for (const [index, [reason, make]] of wrong.entries()) {
      const { error } = await maker.call("quote_response", make(quotes[index] as NearQuote));
      assert.ok(error?.message.includes(reason), `expected "${reason}", found "${error?.message}"`);
    }
    assert.deepEqual(near.book().settled, []);
  });

  it("answers what is no request, and unknown methods, as JSON-RPC does", async () => {
    assert.equal((await maker.call("dance")).error?.code, -32601);
    assert.equal((await maker.call("subscribe", "weather")).error?.code, -32602);
    assert.equal((await rpc(near, "dance", [])).body.error?.code, -32601);
    const text = await new Promise<string>((resolve) => {
      maker.socket.once("message", (data: Buffer) => resolve(data.toString()));
      maker.socket.send("{");
    });
    assert.equal((JSON.parse(text) as Incoming).error?.code, -32700);
  });

  it("lets a taker ask for quotes and publish an intent against them", async () => {
    const taker = nearKeyPair(randomBytes(32));
    await near.close();
    near = await startNear({ market: "replay", publicKeys: { "taker.near": [taker.publicKey] } });
    maker = await Maker.connect(near);
    await maker.call("subscribe", "quote");
    const [assetIn, assetOut] = ["nep141:wrap.near", "nep141:usdt.tether-token.near"] as const;
    const asking = rpc(near, "quote", [
      { defuse_asset_identifier_in: assetIn, defuse_asset_identifier_out: assetOut, exact_amount_in: "500" },
    ]);
    const quote = (await maker.event(() => true)) as unknown as NearQuote;
    const low = offer(near, quote, { amount: "900" });
    const high = offer(near, quote, { amount: "1000" });
    for (const { response } of [low, high]) await maker.call("quote_response", response);
    const offers = (await asking).body.result as { quote_hash: string; amount_out: string }[];
    assert.deepEqual(
      offers.map((found) => [found.quote_hash, found.amount_out]),
      [
        [high.hash, "1000"],
        [low.hash, "900"],
      ],
    );

    // The taker's intent is the mirror image of the solver's.
    const mirrored = { ...quote, defuse_asset_identifier_in: assetOut, defuse_asset_identifier_out: assetIn };
    const sign = (received: string) =>
      offer(
        near,
        { ...mirrored, exact_amount_in: received, exact_amount_out: "500" },
        { signerId: "taker.near", privateKey: taker.privateKey },
      ).response.signed_data;
    const publish = async (hashes: string[], signed: Fields) =>
      (await rpc(near, "publish_intent", [{ quote_hashes: hashes, signed_data: signed }])).body
        .result as Fields;
    assert.match(String((await publish([high.hash], sign("999"))).reason), /sum up to zero/);
    const signed = sign("1000");
    near.setBalances("taker.near", { [assetIn]: "499" });
    assert.equal((await publish([high.hash], signed)).reason, "insufficient balance or overflow");
    near.setBalances("taker.near", { [assetIn]: "500" });
    const published = await publish([high.hash], signed);
    assert.equal(published.status, "OK");
    assert.equal((await publish([high.hash], signed)).reason, "nonce was already used");
    const deadline = Date.now() + 10_000;
    while (near.book().settled.length === 0 && Date.now() < deadline) await delay(5);
    assert.deepEqual(
      near.book().settled.map(({ quoteHash, intentHash }) => [quoteHash, intentHash]),
      [[high.hash, published.intent_hash]],
    );
    assert.deepEqual(near.balances("taker.near"), { [assetIn]: "0", [assetOut]: "1000" });
  });
});

describe("a NEAR relay by itself", () => {
  let near: LabNear;
  before(async () => void (near = await startNear({ market: "simulated" })));
  after(async () => near.close());

  it("lets quotes flow", async () => {
    const maker = await Maker.connect(near);
    await maker.call("subscribe", "quote");
    await maker.event(() => maker.events.length >= 3);
    assert.equal(new Set(maker.events.map((event) => event.quote_id)).size, maker.events.length);
  });

  it("says when its port is taken", async () => {
    const squatter = createServer().listen(0, "127.0.0.1");
    await new Promise((resolve) => squatter.once("listening", resolve));
    const { port } = squatter.address() as { port: number };
    await assert.rejects(startNear({ port, market: "replay" }), (error) => {
      assert.ok(error instanceof VenuePortInUseError);
      assert.ok(error.message.includes(String(port)));
      return true;
    });
    squatter.close();
  });
});

describe("NEAR's encodings", () => {
  it("base58 is reversible", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 70 }), (bytes) =>
        assert.deepEqual(decodeBase58(encodeBase58(bytes)), bytes),
      ),
    );
    assert.equal(encodeBase58(Buffer.from("Hello World!")), "2NEpo7TZRRrLZSi2U");
    assert.equal(decodeBase58("0"), undefined);
  });

  it("nonces are reversible", () => {
    const deadlineMs = Date.parse("2030-01-01T00:00:00Z");
    const nonce = makeNonce({ salt: "252812b3", deadlineMs }, new Uint8Array(15));
    assert.equal(nonce.subarray(0, 9).toString("hex"), "5628f6c600252812b3");
    assert.deepEqual(parseNonce(nonce), { salt: "252812b3", deadlineMs });
  });

  it("signatures verify, and only with the right hash and key", () => {
    const { publicKey, privateKey } = nearKeyPair(Buffer.alloc(32, 7));
    const payload = { message: "hello", nonce: Buffer.alloc(32, 1), recipient: "intents.near" };
    const hash = nep413Hash(payload);
    const signature = signEd25519(hash, privateKey);
    assert.ok(verifyEd25519(hash, publicKey, signature));
    assert.ok(!verifyEd25519(nep413Hash({ ...payload, message: "hullo" }), publicKey, signature));
    assert.ok(!verifyEd25519(nep413Hash({ ...payload, callbackUrl: "https://a" }), publicKey, signature));
    assert.ok(!verifyEd25519(hash, nearKeyPair(Buffer.alloc(32, 8)).publicKey, signature));
    assert.ok(!verifyEd25519(hash, "ed25519:short", signature));
  });
});
