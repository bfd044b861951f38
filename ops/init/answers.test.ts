import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { Readable } from "node:stream";
import test, { after } from "node:test";
import { UsageError } from "../run.ts";
import { readAnswers } from "./answers.ts";

const directory = mkdtempSync(path.join(tmpdir(), "init-answers-"));
after(() => rmSync(directory, { recursive: true }));
const nothing = Readable.from([]);

function fileWith(text: string): string {
  const file = path.join(directory, "answers.yaml");
  writeFileSync(file, text);
  return file;
}

test("objects are taken apart, so that they are laid over what is configured; lists are one value", async () => {
  const text =
    "trading:adminCidrs: [198.18.0.1/32]\narchive: {bucket: b}\nrisk:\n  maxAmounts: {nep141:wrap.near: '1'}\n  symbols: [SPY]\n";
  assert.deepEqual(await readAnswers(fileWith(text), nothing), [
    { path: ["adminCidrs"], value: ["198.18.0.1/32"] },
    { path: ["archive", "bucket"], value: "b" },
    { path: ["risk", "maxAmounts", "nep141:wrap.near"], value: "1" },
    { path: ["risk", "symbols"], value: ["SPY"] },
  ]);
});

test("secrets come on standard input, not in a file; all of them are named, none is shown", async () => {
  const text = '{"hcloudToken": "the-token", "trading:nearPrivateKey": "the-key", "delivery": "direct"}';
  await assert.rejects(
    readAnswers(fileWith(text), nothing),
    (error) =>
      error instanceof UsageError &&
      /hcloudToken/.test(error.message) &&
      /nearPrivateKey/.test(error.message) &&
      !/the-token|the-key/.test(error.message),
  );
  assert.deepEqual(await readAnswers("-", Readable.from([text.slice(0, 9), text.slice(9)])), [
    { path: ["hcloudToken"], value: "the-token" },
    { path: ["nearPrivateKey"], value: "the-key" },
    { path: ["delivery"], value: "direct" },
  ]);
});

test("what cannot be read says where, and not what", async () => {
  const broken = Readable.from(["delivery: direct\nhcloudToken: 'the-token\n"]);
  await assert.rejects(
    readAnswers("-", broken),
    (error) =>
      error instanceof UsageError && /line \d/.test(error.message) && !/the-token/.test(error.message),
  );
  await assert.rejects(readAnswers("-", Readable.from(["[1]"])), UsageError);
  await assert.rejects(readAnswers("-", Readable.from(['{"nearSignerId": 5}'])), UsageError);
  await assert.rejects(readAnswers(path.join(directory, "none"), nothing), UsageError);
  assert.deepEqual(await readAnswers("-", Readable.from([""])), []);
});
