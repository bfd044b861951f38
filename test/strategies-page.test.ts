/** docs/strategies.md is true: its strategy is the file in the repository, its rows and entry are like those that run. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { risingBars } from "../services/strategies/rising-bars.ts";
import { commandsFor, inputEvent } from "../services/strategies/testing.ts";

const read = (file: string) => readFile(new URL(`../${file}`, import.meta.url), "utf8");
const blocks = [...(await read("docs/strategies.md")).matchAll(/^```ts\n(.*?)^```$/gms)].map(
  ([, code]) => code ?? "",
);
const [strategy = "", check = "", entry = "", row = ""] = blocks;

/** The text as if the example were the dummy. */
const asDummy = (text: string) =>
  text.replaceAll("rising-bars", "dummy").replaceAll("RisingBars", "Dummy").replaceAll("risingBars", "dummy");

test("the strategy is the one in the repository", async () => {
  assert.equal(blocks.length, 4);
  assert.equal(strategy, await read("services/strategies/rising-bars.ts"));
});

test("entry point and row are like the dummy's", async () => {
  assert.equal(asDummy(entry), await read("services/apps/strategy-dummy.ts"));
  const readsOfDummy = '["norm.swap_demand", "norm.stock_trade"]';
  const catalog = await read("services/catalog.ts");
  assert.ok(catalog.includes(asDummy(row).replace('["norm.stock_bar"]', readsOfDummy)), row);
});

test("its test passes, as it is printed", async () => {
  const minute = (id: string, open: string, close: string) =>
    inputEvent("norm.stock_bar", id, {
      symbol: "SPY",
      kind: "minute",
      open,
      high: "9",
      low: "1",
      close,
      volume: "100",
      trade_count: "5",
      vwap: "5",
    });
  const commands = commandsFor(risingBars, [
    minute("13:30", "4", "5"),
    minute("13:31", "5", "6"),
    minute("13:32", "6", "7"),
  ]);
  assert.equal(commands.length, 1);
  const plain = (text: string) => text.replace(/\s+/g, " ");
  assert.ok(plain(await read("test/strategies-page.test.ts")).includes(plain(check)));

  const falling = [
    minute("a", "4", "5"),
    minute("b", "5", "6"),
    minute("c", "6", "6"),
    minute("d", "6", "7"),
  ];
  assert.equal(commandsFor(risingBars, falling).length, 0, "three in a row");
});
