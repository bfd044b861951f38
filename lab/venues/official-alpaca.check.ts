/**
 * Alpaca's official Python SDK streams, trades and hears of its trades from the lab's Alpaca. Not part of `npm test`,
 * because it needs Python, pip and a package: `npm run check:alpaca-sdk`. Exit code 1 when the SDK fails or cannot be had.
 */
import { fileURLToPath } from "node:url";
import { installPythonPackage, runPython } from "../python.ts";
import { startAlpaca } from "./alpaca/index.ts";

const sdk = { name: "alpaca-py", version: "0.44.0" };
const script = fileURLToPath(new URL("alpaca/testing/official_sdk.py", import.meta.url));
/** The SDK's own waits are seconds; this is what a loaded machine may need. */
const deadlineMs = 120_000;

/** One data message of each type. */
const everyType = ((t: string, z: string, x: string) => [
  { T: "t", S: "EVERY", i: 7, x, p: 10.5, s: 100, c: ["@"], z, t },
  { T: "q", S: "EVERY", bx: x, bp: 10.4, bs: 1, ax: x, ap: 10.6, as: 2, c: ["R"], z, t },
  { T: "b", S: "EVERY", o: 10, h: 11, l: 9, c: 10.5, v: 1_000, vw: 10.4, n: 10, t },
  { T: "u", S: "EVERY", o: 10, h: 11, l: 9, c: 10.6, v: 1_100, vw: 10.4, n: 11, t },
  { T: "d", S: "EVERY", o: 10, h: 11, l: 9, c: 10.7, v: 1_200, vw: 10.4, n: 12, t },
  {
    T: "s",
    S: "EVERY",
    sc: "H",
    sm: "Trading Halt",
    rc: "T12",
    rm: "Additional Information Requested",
    z,
    t,
  },
  { T: "l", S: "EVERY", u: 11.5, d: 9.5, i: "B", z, t },
  { T: "c", S: "EVERY", x, oi: 7, op: 10.5, os: 100, oc: ["@"], ci: 8, cp: 10.4, cs: 100, cc: ["@"], z, t },
  { T: "x", S: "EVERY", i: 8, x, p: 10.4, s: 100, a: "C", z, t },
])("2025-01-02T14:30:00.123456789Z", "C", "V");

const directory = await installPythonPackage(sdk);
if (directory === undefined) {
  console.error(`pip cannot provide ${sdk.name} ${sdk.version}: the check has not been made`);
  process.exitCode = 1;
} else {
  const alpaca = await startAlpaca({
    market: "simulated",
    cash: "5000000",
    partialFills: true,
    // Long enough for the SDK's subscription to trade updates to arrive before the first order's news.
    fillMs: 100,
    requestsPerMinute: 6_000,
    streamRefusals: { sip: 409 },
  });
  const stopped = new AbortController();
  const playing = alpaca.play(everyType, { signal: stopped.signal }).catch(() => 0);
  const endpoints = [alpaca.rest, alpaca.stream, alpaca.stream.replace("iex", "sip"), alpaca.updates];
  const environment = {
    PYTHONPATH: directory,
    PYTHONDONTWRITEBYTECODE: "1",
    ALPACA_KEY_ID: alpaca.keyId,
    ALPACA_SECRET_KEY: alpaca.secret,
  };
  const code = await runPython([script, ...endpoints], environment, deadlineMs);
  stopped.abort();
  await playing;
  const ends = alpaca.orders().map(({ status }) => status);
  const expected = ["filled", "filled", "replaced", "canceled", "canceled", "canceled", "filled", "filled"];
  await alpaca.close();
  const agrees = ends.join() === expected.join() && alpaca.duplicateOrders() === 1;
  if (code === 0 && !agrees)
    console.error(
      `the venue's book has ${ends.join(", ")}, expected ${expected.join(", ")} and one duplicate`,
    );
  process.exitCode = code === 0 && agrees ? 0 : 1;
}
