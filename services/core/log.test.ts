import assert from "node:assert/strict";
import { test } from "node:test";
import { createLogger, forEvent, withoutSecrets } from "./log.ts";

function capture(secrets: string[] = []) {
  const lines: string[] = [];
  const logger = createLogger({
    service: "test",
    secrets,
    destination: { write: (line: string) => lines.push(line) },
  });
  return { logger, lines };
}

test("a secret is never printed, wherever it appears", () => {
  const secret = 'se"cret\\token';
  const { logger, lines } = capture([secret, "short"]);
  logger.info({ url: `wss://host/?key=${secret}`, nested: { deep: [secret] } }, `failed with ${secret}`);
  logger.error(new Error(secret));
  assert.equal(lines.length, 2);
  for (const line of lines) {
    assert.doesNotMatch(line, /se\\*"cret/);
    assert.match(line, /\[redacted\]/);
    JSON.parse(line);
  }
});

test("a secret is taken out of plain text, too", () => {
  assert.equal(
    withoutSecrets('failed with se"cret\\token', ['se"cret\\token', "with"]),
    "failed with [redacted]",
  );
});

test("fields that hold secrets by their name are redacted", () => {
  const { logger, lines } = capture();
  logger.info({ token: "abc", headers: { Authorization: "Bearer abc" } });
  assert.doesNotMatch(lines[0] ?? "", /abc/);
});

test("a line about an event carries its ids and the service", () => {
  const { logger, lines } = capture();
  forEvent(logger, { event_id: "e", correlation_id: "c" }).warn("odd");
  const line = JSON.parse(lines[0] ?? "") as Record<string, unknown>;
  assert.equal(line["event_id"], "e");
  assert.equal(line["correlation_id"], "c");
  assert.equal(line["service"], "test");
  assert.equal(line["level"], "warn");
});
