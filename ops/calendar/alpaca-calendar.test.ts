import assert from "node:assert/strict";
import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, test } from "node:test";
import { AlpacaCalendar, AlpacaCalendarError, type CalendarPatience } from "./alpaca-calendar.ts";

const closing: (() => void)[] = [];
afterEach(() => closing.splice(0).forEach((close) => close()));

const impatient: CalendarPatience = { requestTimeoutMs: 10_000, retryDeadlineMs: 20_000, firstDelayMs: 5 };

/** A server that answers as told. @returns a client of it */
async function calendarAt(
  answer: RequestListener,
  patience: Partial<CalendarPatience> = {},
  signal?: AbortSignal,
): Promise<AlpacaCalendar> {
  const server = createServer(answer).listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  closing.push(() => {
    server.closeAllConnections();
    server.close();
  });
  return new AlpacaCalendar({
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    keyId: "key",
    secretKey: "secret",
    signal,
    patience: { ...impatient, ...patience },
  });
}

const twoDays = JSON.stringify([
  // Both forms of the other hours have been seen; nobody reads them.
  { date: "2025-07-03", open: "09:30", close: "13:00", session_open: "0400", session_close: "1700" },
  { date: "2025-07-07", open: "09:30", close: "16:00", session_open: "07:00", settlement_date: "2025-07-08" },
]);

test("the span is asked for with the account's key, and early closes are read in New York's time", async () => {
  const seen: unknown[] = [];
  const calendar = await calendarAt(({ url, headers }, response) => {
    seen.push([url, headers["apca-api-key-id"], headers["apca-api-secret-key"]]);
    response.end(twoDays);
  });
  const sessions = await calendar.sessions("2025-07-03", "2025-07-07");
  assert.deepEqual(seen, [["/v2/calendar?start=2025-07-03&end=2025-07-07", "key", "secret"]]);
  assert.deepEqual(
    [...sessions],
    [
      [
        "2025-07-03",
        {
          open: new Date("2025-07-03T13:30:00Z"),
          close: new Date("2025-07-03T17:00:00Z"),
          closesEarly: true,
        },
      ],
      [
        "2025-07-07",
        {
          open: new Date("2025-07-07T13:30:00Z"),
          close: new Date("2025-07-07T20:00:00Z"),
          closesEarly: false,
        },
      ],
    ],
  );
});

test("what lies outside of the span is passed over", async () => {
  const calendar = await calendarAt((_, response) => response.end(twoDays));
  assert.deepEqual([...(await calendar.sessions("2025-07-04", "2025-07-31")).keys()], ["2025-07-07"]);
});

test("what passes by itself is asked again", async () => {
  for (const first of [500, 503, 429, "reset"] as const) {
    let asked = 0;
    const calendar = await calendarAt(({ socket }, response) => {
      asked += 1;
      if (asked > 2) response.end(twoDays);
      else if (first === "reset") socket.destroy();
      else response.writeHead(first).end();
    });
    assert.equal((await calendar.sessions("2025-07-01", "2025-07-31")).size, 2);
    assert.equal(asked, 3, String(first));
  }
});

test("what does not pass is said after one question, and never with the key", async () => {
  for (const [status, body, reason] of [
    [401, "", /HTTP 401: the key is not accepted/],
    [403, "", /HTTP 403: the key is not accepted/],
    [422, "", /HTTP 422/],
    [200, '[{"date":"2025-07-03","open":"9:30","close":"13:00"}]', /another form: 0\.open/],
    [200, '[{"date":"2025-07-03","open":"13:00","close":"09:30"}]', /closes before it opens/],
    [200, '{"message":"soon"}', /another form/],
  ] as const) {
    let asked = 0;
    const calendar = await calendarAt((_, response) => {
      asked += 1;
      response.writeHead(status).end(body);
    });
    await assert.rejects(calendar.sessions("2025-07-01", "2025-07-31"), (error) => {
      assert.ok(error instanceof AlpacaCalendarError);
      assert.match(error.message, reason);
      assert.ok(!error.message.includes("secret"));
      return true;
    });
    assert.equal(asked, 1, body);
  }
});

test("nobody waits longer than was said", async () => {
  let asked = 0;
  const failing = await calendarAt(
    (_, response) => {
      asked += 1;
      response.writeHead(500).end();
    },
    { retryDeadlineMs: 1_000, firstDelayMs: 600 },
  );
  await assert.rejects(failing.sessions("2025-07-01", "2025-07-31"), /HTTP 500/);
  // The third attempt would begin 1.8 s after the first.
  assert.ok(asked <= 2, `${asked} attempts`);
  const silent = await calendarAt(() => undefined, { requestTimeoutMs: 50, retryDeadlineMs: 0 });
  await assert.rejects(silent.sessions("2025-07-01", "2025-07-31"), /no answer in time$/);
});

test("an interrupted command does not wait", async () => {
  const abort = new AbortController();
  const calendar = await calendarAt(() => abort.abort(new Error("interrupted")), {}, abort.signal);
  await assert.rejects(calendar.sessions("2025-07-01", "2025-07-31"), /^Error: interrupted$/);
});
