import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { derivedEventId, newSessionId, rawEventId, uuidV5 } from "./ids.ts";

test("UUIDv5 gives the published values", () => {
  const dns = "6ba7b810-9dad-11d1-80b4-00c04fd430c8";
  // RFC 9562, appendix A.4, and the value of Python's documentation.
  assert.equal(uuidV5("www.example.com", dns), "2ed6657d-e927-568b-95e1-2665a8aea6a2");
  assert.equal(uuidV5("python.org", dns), "886313e1-3b8a-5372-9b90-0c9aee199e5d");
});

test("the same cause gives the same id, another cause another", () => {
  const part = fc.string();
  fc.assert(
    fc.property(part, part, fc.array(part), part, part, fc.array(part), (t1, c1, d1, t2, c2, d2) => {
      const first = derivedEventId(t1, c1, ...d1);
      const isSame = JSON.stringify([t1, c1, d1]) === JSON.stringify([t2, c2, d2]);
      assert.equal(first === derivedEventId(t2, c2, ...d2), isSame);
      assert.equal(first, derivedEventId(t1, c1, ...d1));
      assert.match(first, /^[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    }),
  );
});

test("ids of a session differ by sequence, and sessions differ", () => {
  const [a, b] = [newSessionId(), newSessionId()];
  const ids = [a, b].flatMap((session) => Array.from({ length: 1_000 }, (_, at) => rawEventId(session, at)));
  assert.equal(new Set(ids).size, 2_000);
});
