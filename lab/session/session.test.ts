import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { createSession, dailyBars, FeedError } from "./index.ts";
import { createRandom } from "./random.ts";

interface Message {
  T: string;
  S: string;
  t: string;
  [field: string]: unknown;
}
const parse = (text: string) => JSON.parse(text) as Message;
const feeds = path.resolve(fileURLToPath(import.meta.url), "../../../../shared/data/feeds");

describe("a session", () => {
  it("has exactly the wanted number of events, one in five from NEAR, the same for the same seed", async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 3_000 }), fc.integer(), async (events, seed) => {
        const session = await createSession({ events, seed });
        assert.equal(session.events, events);
        assert.equal(session.alpacaMessages.length + session.nearQuotes.length, events);
        assert.equal(session.nearQuotes.length, Math.floor(events / 5));
        assert.deepEqual(await createSession({ events, seed }), session);
      }),
      { numRuns: 20 },
    );
  });

  it("is one bar when one event is wanted", async () => {
    const session = await createSession({ events: 1, seed: 1 });
    assert.deepEqual(session.nearQuotes, []);
    assert.deepEqual(session.alpacaMessages.map(parse), [
      {
        T: "b",
        S: "SPX",
        o: 1469.25,
        h: 1478,
        l: 1438.359985,
        c: 1455.219971,
        v: 931800000,
        n: 0,
        vw: 1457.19,
        t: "2000-01-03T14:30:00Z",
      },
    ]);
  });

  it("replays the real bars in order and keeps every made price inside its bar", async () => {
    const session = await createSession({ events: 6_000, seed: 3 });
    const bars = new Map(dailyBars().map((bar) => [bar.date, bar]));
    const dates: string[] = [];
    for (const message of session.alpacaMessages.map(parse)) {
      const bar = bars.get(message.t.slice(0, 10));
      assert.ok(bar, `no bar of ${message.t}`);
      const prices =
        message.T === "q" ? [message.bp, message.ap] : message.T === "t" ? [message.p] : [message.o];
      for (const price of prices) assert.ok(Number(price) >= bar.low && Number(price) <= bar.high);
      if (message.T === "q") assert.ok(Number(message.bp) <= Number(message.ap));
      if (message.T === "b") {
        assert.deepEqual(
          [message.o, message.h, message.l, message.c],
          [bar.open, bar.high, bar.low, bar.close],
        );
        dates.push(bar.date);
      }
    }
    assert.deepEqual(dates, [...bars.keys()].slice(0, 960));
    assert.deepEqual(new Set(session.alpacaMessages.map((text) => parse(text).T)), new Set(["q", "t", "b"]));
  });

  it("gives each day more ticks when there are fewer days than messages", async () => {
    const session = await createSession({ events: 50_000, seed: 3 });
    assert.equal(session.alpacaMessages.length, 40_000);
    const bars = session.alpacaMessages.filter((text) => text.startsWith('{"T":"b"'));
    assert.ok(bars.length > 4_900, `${bars.length} bars`);
  });

  it("makes NEAR quotes of the wire's form, each with an id of its own", async () => {
    const { nearQuotes } = await createSession({ events: 5_000, seed: 9 });
    assert.equal(new Set(nearQuotes.map((quote) => quote.quote_id)).size, 1_000);
    for (const quote of nearQuotes) {
      assert.match(quote.quote_id, /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
      assert.match(quote.defuse_asset_identifier_in, /^nep(141|245):\S+$/);
      assert.notEqual(quote.defuse_asset_identifier_in, quote.defuse_asset_identifier_out);
      assert.ok((quote.exact_amount_in === undefined) !== (quote.exact_amount_out === undefined));
      assert.match(quote.exact_amount_in ?? quote.exact_amount_out ?? "", /^[1-9]\d*$/);
    }
    const other = await createSession({ events: 5_000, seed: 10 });
    assert.notDeepEqual(other.nearQuotes, nearQuotes);
  });

  it("refuses less than one event", async () => {
    for (const events of [0, -1, 1.5, Number.NaN])
      await assert.rejects(createSession({ events, seed: 1 }), RangeError);
  });
});

describe("a feed file", () => {
  let directory: string;
  before(async () => void (directory = await mkdtemp(path.join(tmpdir(), "lab-feed-"))));
  after(async () => rm(directory, { recursive: true, force: true }));
  const write = async (...lines: string[]) => {
    const file = path.join(directory, "feed.ndjson");
    await writeFile(file, lines.join("\n"));
    return file;
  };
  const trade = (S: string) =>
    JSON.stringify({ T: "t", S, p: 1.5, s: 2, t: "2024-01-02T14:30:00.123456789Z" });

  it("replaces the index, keeps the lines' exact texts and reads no further than needed", async () => {
    const exact = '{"T":"t","S":"AAPL","i":9007199254740993,"p":46319.0,"s":1,"t":"2024-01-02T14:30:00Z"}';
    const file = await write(
      exact,
      "",
      trade("MSFT"),
      trade("AAPL"),
      trade("TSLA"),
      "not read, so not wrong",
    );
    const session = await createSession({ events: 5, seed: 1, feedFile: file });
    assert.equal(session.events, 5);
    assert.equal(session.alpacaMessages[0], exact);
    assert.deepEqual(session.symbols, ["AAPL", "MSFT", "TSLA"]);
    assert.equal(session.nearQuotes.length, 1);
  });

  it("is not stretched when it is short: the real number of events is told", async () => {
    const file = await write(trade("A"), trade("B"), trade("C"), trade("D"), trade("E"));
    const session = await createSession({ events: 1_000, seed: 1, feedFile: file });
    assert.equal(session.events, 6);
    assert.equal(session.alpacaMessages.length, 5);
    assert.equal(session.nearQuotes.length, 1);
  });

  it("is subscribed to as a whole when it has more symbols than the IEX plan's channels", async () => {
    const file = await write(...Array.from({ length: 16 }, (_, index) => trade(`S${index}`)));
    assert.deepEqual((await createSession({ events: 20, seed: 1, feedFile: file })).symbols, ["*"]);
  });

  it("is refused with every wrong line", async () => {
    const file = await write(
      trade("A"),
      "{",
      '{"T":"success","msg":"connected"}',
      '{"T":"t","S":"","p":-1,"s":2,"t":"yesterday"}',
    );
    await assert.rejects(createSession({ events: 100, seed: 1, feedFile: file }), (error) => {
      assert.ok(error instanceof FeedError);
      assert.deepEqual(
        error.mistakes.map(({ line }) => line),
        [2, 3, 4],
      );
      for (const part of ['"S"', '"p": found -1', '"t": found "yesterday"'])
        assert.ok(error.message.includes(part), part);
      return true;
    });
  });

  it("is refused when it is not there or empty", async () => {
    await assert.rejects(
      createSession({ events: 1, seed: 1, feedFile: path.join(directory, "none") }),
      FeedError,
    );
    await assert.rejects(createSession({ events: 1, seed: 1, feedFile: await write("", "") }), /no message/);
  });

  it("may be one of the real ticks", { skip: !existsSync(feeds) }, async () => {
    const fx = await createSession({
      events: 1_000,
      seed: 1,
      feedFile: path.join(feeds, "fx-quotes.ndjson"),
    });
    assert.equal(fx.events, 1_000);
    assert.deepEqual(fx.symbols, ["EURUSD"]);
    const bars = await createSession({
      events: 25_000,
      seed: 1,
      feedFile: path.join(feeds, "btc-perp-bars.ndjson"),
    });
    assert.equal(bars.alpacaMessages.length, 20_000);
    assert.deepEqual(bars.symbols, ["BTCPERP"]);
  });
});

describe("reproducible numbers", () => {
  it("depend on seed and purpose only, and spread evenly", () => {
    const draw = (seed: number, purpose: string) => {
      const random = createRandom(seed, purpose);
      return Array.from({ length: 5_000 }, () => random.next());
    };
    assert.deepEqual(draw(1, "a"), draw(1, "a"));
    assert.notDeepEqual(draw(1, "a"), draw(1, "b"));
    assert.notDeepEqual(draw(1, "a"), draw(2, "a"));
    const mean = draw(1, "a").reduce((sum, x) => sum + x) / 5_000;
    assert.ok(Math.abs(mean - 0.5) < 0.02, String(mean));
    assert.ok(draw(1, "a").every((x) => x >= 0 && x < 1));
  });
});
