import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { RefusedEventError } from "../../bus/stage.ts";
import type { Event } from "../../core/envelope.ts";
import { decodeEventOf, newEvent } from "../../core/events.ts";
import { rawEventId } from "../../core/ids.ts";
import type { RawMessage } from "../../core/market-data.ts";
import { testContext } from "../../core/testing.ts";
import { normalizeStockMessage, stockRecord, stockTransform } from "./normalize.ts";

const session = "2ed6657d-e927-568b-95e1-2665a8aea6a2";
const time = "2025-10-14T13:30:00.123456789Z";

/** The raw event that the ingestor makes of a message. */
function rawOf(text: string, sequence = 0): Event<RawMessage> {
  let kind: unknown;
  try {
    kind = (JSON.parse(text) as { T?: unknown } | null)?.T;
  } catch {
    kind = undefined;
  }
  const id = rawEventId(session, sequence);
  return newEvent("raw.alpaca.stock", {
    event_id: id,
    venue: "alpaca",
    observed_at: "2025-10-14T13:30:01.000Z",
    ingested_at: "2025-10-14T13:30:01.000Z",
    payload: { session_id: session, sequence, message_type: typeof kind === "string" ? kind : null },
    raw: text,
    correlation_id: id,
  });
}

/** One good message of each kind that has a normal form, and the payload it must give. */
const samples: readonly (readonly [string, string, object])[] = [
  [
    `{"T":"t","i":9007199254740993,"S":"AAPL","x":"D","p":126.550,"s":1e2,"t":"${time}","c":["@","I"],"z":"C"}`,
    "norm.stock_trade",
    {
      symbol: "AAPL",
      exchange: "D",
      trade_id: "9007199254740993",
      price: "126.550",
      size: "100",
      conditions: ["@", "I"],
      tape: "C",
    },
  ],
  [
    `{"T":"q","S":"AMD","bx":"U","bp":87.66,"bs":1,"ax":"X","ap":87.70,"as":4,"t":"${time}","c":["R"],"z":"C"}`,
    "norm.stock_quote",
    {
      symbol: "AMD",
      bid_exchange: "U",
      bid_price: "87.66",
      bid_size: "1",
      ask_exchange: "X",
      ask_price: "87.70",
      ask_size: "4",
      conditions: ["R"],
      tape: "C",
    },
  ],
  ...(["b:minute", "u:updated_minute", "d:daily"] as const).map((kind): [string, string, object] => [
    `{"T":"${kind.slice(0, 1)}","S":"SPY","o":388.985,"h":389.13,"l":388.975,"c":389.12,"v":49378,"n":461,"vw":389.062639,"t":"${time}"}`,
    "norm.stock_bar",
    {
      symbol: "SPY",
      kind: kind.slice(2),
      open: "388.985",
      high: "389.13",
      low: "388.975",
      close: "389.12",
      volume: "49378",
      trade_count: "461",
      vwap: "389.062639",
    },
  ]),
  [
    `{"T":"c","S":"EEM","x":"M","oi":52983525033527,"op":39.1582,"os":440000,"oc":[" ","7"],"ci":52983525034326,"cp":39.1809,"cs":440000,"cc":[" ","7"],"z":"B","t":"${time}"}`,
    "norm.stock_trade_correction",
    {
      symbol: "EEM",
      exchange: "M",
      original: { trade_id: "52983525033527", price: "39.1582", size: "440000", conditions: [" ", "7"] },
      corrected: { trade_id: "52983525034326", price: "39.1809", size: "440000", conditions: [" ", "7"] },
      tape: "B",
    },
  ],
  [
    `{"T":"x","S":"GOOGL","i":465,"x":"D","p":120.1,"s":1,"a":"C","z":"C","t":"${time}"}`,
    "norm.stock_trade_cancel",
    {
      symbol: "GOOGL",
      exchange: "D",
      trade_id: "465",
      price: "120.1",
      size: "1",
      action: "canceled",
      tape: "C",
    },
  ],
];

const normTypes = [
  "norm.stock_trade",
  "norm.stock_quote",
  "norm.stock_bar",
  "norm.stock_trade_correction",
  "norm.stock_trade_cancel",
] as const;

test("each kind becomes its event: exact numbers, the venue's time, the ids of its cause", () => {
  for (const [text, type, payload] of samples) {
    const raw = rawOf(text);
    const event = normalizeStockMessage(raw);
    assert.ok(event, text);
    const record = stockRecord(event);
    const { event_id, ...read } = decodeEventOf(normTypes, record.value);
    assert.notEqual(event_id, raw.event_id);
    assert.deepEqual(read, {
      event_type: type,
      venue: "alpaca",
      observed_at: time,
      ingested_at: raw.ingested_at,
      schema_version: 1,
      payload,
      causation_id: raw.event_id,
      correlation_id: raw.event_id,
    });
    assert.equal(record.key, (payload as { symbol: string }).symbol);
  }
});

test("corrections and cancels stand among the trades they are about, in the order they came", () => {
  const transform = stockTransform(testContext());
  const trades = samples.filter(([, type]) => type.includes("trade"));
  const records = trades.flatMap(([text], sequence) => transform(rawOf(text, sequence)));
  assert.deepEqual([...new Set(records.map(({ topic }) => topic))], ["norm.stock_trade"]);
  assert.deepEqual(
    records.map(({ value }) => decodeEventOf(normTypes, value).event_type),
    trades.map(([, type]) => type),
  );
});

const exactText = fc
  .tuple(
    fc.nat(),
    fc.option(fc.stringMatching(/^\d{1,9}$/), { nil: undefined }),
    fc.constantFrom("", "e1", "E-2"),
  )
  .map(([whole, fraction, power]) => `${whole}${fraction === undefined ? "" : `.${fraction}`}${power}`);

test("a replay gives the same bytes, blanks, order of fields and unknown fields whatever", () => {
  const field = fc.constantFrom(...samples.keys());
  fc.assert(
    fc.property(field, exactText, fc.nat(1_000), fc.integer(), (index, price, sequence, seed) => {
      const [text = ""] = samples[index] ?? [];
      const fields = [...text.slice(1, -1).matchAll(/"(\w+)":("[^"]*"|\[[^\]]*\]|[^,]+)/g)].map(
        ([, name = "", value = ""]) => [name, name === "p" || name === "bp" || name === "o" ? price : value],
      );
      const write = (list: string[][], blank: string) =>
        `{${blank}${list.map(([name, value]) => `"${name}"${blank}:${value}`).join(`,${blank}`)}}`;
      const first = normalizeStockMessage(rawOf(write(fields, ""), sequence));
      const again = normalizeStockMessage(rawOf(write(fields, ""), sequence));
      assert.ok(first && again);
      assert.deepEqual(stockRecord(first), stockRecord(again));
      const rotated = [...fields.slice(seed & 3), ...fields.slice(0, seed & 3), ["new", '{"from":"Alpaca"}']];
      const other = normalizeStockMessage(rawOf(write(rotated, " "), sequence));
      assert.ok(other);
      assert.deepEqual(stockRecord(other), stockRecord(first));
    }),
  );
});

test("two equal messages are two events", () => {
  const [[text]] = samples as [(typeof samples)[0]];
  assert.notEqual(
    normalizeStockMessage(rawOf(text, 0))?.event_id,
    normalizeStockMessage(rawOf(text, 1))?.event_id,
  );
});

test("what Alpaca leaves out or empties is absent, not invented", () => {
  const trade = normalizeStockMessage(
    rawOf(`{"T":"t","i":1,"S":"A","x":"","p":1,"s":1,"c":null,"t":"${time}"}`),
  );
  assert.deepEqual(trade?.payload, { symbol: "A", trade_id: "1", price: "1", size: "1", conditions: [] });
});

test("kinds without a normal form are passed over and counted", async () => {
  const context = testContext();
  const transform = stockTransform(context);
  for (const kind of ["s", "l", "zz", "n"]) assert.deepEqual(transform(rawOf(`{"T":"${kind}","S":"A"}`)), []);
  const metrics = await context.metrics.registry.metrics();
  assert.match(metrics, /without_normal_form_total\{kind="other"[^}]*\} 2/);
  assert.match(metrics, /without_normal_form_total\{kind="l"[^}]*\} 1/);
});

test("a message that cannot be understood is refused, with everything that is wrong with it", () => {
  const trade = (change: (text: string) => string) => change(samples[0]?.[0] ?? "");
  const refused: [string, RegExp][] = [
    ["not JSON", /no text in T/],
    ['{"S":"AAPL"}', /no text in T/],
    ['{"T":5}', /no text in T/],
    [trade((text) => text.replace("126.550", '"126.550"')), /p: expected a number/],
    [trade((text) => text.replace("126.550", "-1")), /p: .* found -1/],
    [trade((text) => text.replace("126.550", "1e400")), /p: /],
    [trade((text) => text.replace("9007199254740993", "1.5")), /i: expected a whole number/],
    [trade((text) => text.replace('"S":"AAPL"', '"S":""')), /S: /],
    [trade((text) => text.replace(time, "2025-10-14 13:30")), /t: expected an instant/],
    [samples[6]?.[0].replace('"a":"C"', '"a":"Q"') ?? "", /a: /],
    ['{"T":"q","S":"A"}', /bp: .*bs: .*ap: .*as: /],
  ];
  for (const [text, why] of refused) {
    assert.throws(
      () => normalizeStockMessage(rawOf(text)),
      (error) => error instanceof RefusedEventError && why.test(error.message),
      text,
    );
  }
  // The text may be broken although the ingestor once read a kind in it.
  const broken = rawOf(trade((text) => text));
  broken.raw = "{";
  assert.throws(() => normalizeStockMessage(broken), RefusedEventError);
});

test("no text whatever makes the normalizer fail in another way", () => {
  const kind = fc.constantFrom("t", "q", "b", "u", "d", "c", "x");
  const fields = fc.dictionary(fc.constantFrom(..."TSxpsczti", "bp", "__proto__", "oi"), fc.jsonValue());
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.json(),
        fc.tuple(kind, fields).map(([T, rest]) => JSON.stringify({ ...rest, T })),
      ),
      (text) => {
        try {
          normalizeStockMessage(rawOf(text));
        } catch (error) {
          assert.ok(error instanceof RefusedEventError);
        }
      },
    ),
  );
});
