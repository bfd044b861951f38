import assert from "node:assert/strict";
import test from "node:test";
import fc from "fast-check";
import { Draft } from "./draft.ts";
import { isForDocumentation, type Question, questions } from "./questions.ts";

const question = (key: string): Question => {
  const found = questions.find(({ path }) => path.join(".") === key);
  assert.ok(found, key);
  return found;
};
const draftOf = (entries: Record<string, string>, secretKeys: string[] = []) =>
  new Draft("dev", { entries, secretKeys });

test("a value inside an object leaves the object's other values alone", () => {
  const draft = draftOf({ "trading:archive": '{"endpoint":"https://s3.example","region":"fsn1"}' });
  draft.set(["archive", "bucket"], "days", "typed");
  assert.deepEqual(draft.get(["archive"]), {
    endpoint: "https://s3.example",
    region: "fsn1",
    bucket: "days",
  });
  assert.deepEqual(draft.changes, [{ path: ["trading:archive", "bucket"], value: "days", secret: false }]);
});

test("whatever is set is read back, at any depth, and is one change", () => {
  const step = fc.string({ minLength: 1 }).filter((text) => text !== "__proto__");
  fc.assert(
    fc.property(fc.array(step, { maxLength: 3 }), fc.jsonValue(), (inner, value) => {
      // A text at the top is kept as it is: `true` there is a text, too.
      fc.pre(inner.length > 0 || typeof value !== "string");
      fc.pre(!Object.is(value, -0) && !JSON.stringify(value).includes("__proto__"));
      const draft = draftOf({});
      draft.set(["risk", ...inner], value, "answers");
      assert.deepEqual(JSON.stringify(draft.get(["risk", ...inner])), JSON.stringify(value));
      assert.equal(draft.changes.length, 1);
    }),
  );
});

test("what equals the configured value is no change; a secret in clear is one", () => {
  const draft = draftOf({ "trading:delivery": "direct", "trading:alpacaKeyId": "PK1" });
  draft.set(["delivery"], "direct", "answers");
  assert.deepEqual(draft.changes, []);
  assert.deepEqual(draft.secretsInClear, ["alpacaKeyId"]);
  draft.set(["alpacaKeyId"], "PK1", "configured");
  assert.deepEqual(draft.changes, [{ path: ["trading:alpacaKeyId"], value: "PK1", secret: true }]);
  assert.deepEqual(draft.secretsInClear, []);
});

test("an example that was never filled in counts as missing", () => {
  const networks = question("adminCidrs");
  const answered = (value: string) => draftOf({ "trading:adminCidrs": value }).answered(networks).state;
  assert.equal(answered('["203.0.113.0/24"]'), "missing");
  assert.equal(answered('["203.0.113.0/24","88.99.1.2/32"]'), "set");
  assert.equal(answered('["0.0.0.0/1","128.0.0.0/1"]'), "wrong");
  assert.match(
    draftOf({}).objectionTo(networks, ["203.0.113.7/32"]) ?? "",
    /documentation/,
    "nor can it be answered",
  );
  assert.equal(draftOf({}).objectionTo(networks, ["88.99.1.2/32"]), undefined);
  assert.equal(isForDocumentation("203.0.112.0/23"), false, "it holds others, too");
  assert.equal(isForDocumentation("2001:db8:1::/48"), true);
});

test("a secret that the passphrase locks is set, and its form is not judged", () => {
  const token = question("hcloudToken");
  const locked = draftOf({}, ["trading:hcloudToken"]);
  assert.deepEqual(locked.answered(token), { state: "set", source: "configured" });
  assert.equal(
    locked.mistakes().some(({ key }) => key === "trading:hcloudToken"),
    false,
  );
  const readable = draftOf({ "trading:hcloudToken": "short" }, ["trading:hcloudToken"]);
  assert.equal(readable.answered(token).state, "wrong");
  assert.equal(JSON.stringify(readable.answered(token)).includes("short"), false);
});

test("which questions there are follows from the answers", () => {
  const needed = (entries: Record<string, string>) =>
    questions
      .filter(({ group, applies }) => group === "delivery" && (applies?.(draftOf(entries)) ?? true))
      .map(({ path }) => path.join("."));
  assert.deepEqual(needed({ "trading:delivery": "direct" }), ["delivery"]);
  const https = {
    "trading:delivery": "gitops",
    "trading:gitops": '{"repository":"https://git.example/a.git"}',
  };
  assert.deepEqual(needed(https), ["delivery", "gitops.repository", "gitops.path", "gitops.revision"]);
  const ssh = { "trading:delivery": "gitops", "trading:gitops": '{"repository":"git@git.example:a.git"}' };
  assert.ok(needed(ssh).includes("gitSshKey"));
});

test("networks are read as people write them", () => {
  const { read } = question("adminCidrs");
  assert.deepEqual(read?.(" 88.99.1.2, 2a01:4f8::1 10.0.0.0/8,"), [
    "88.99.1.2/32",
    "2a01:4f8::1/128",
    "10.0.0.0/8",
  ]);
  assert.deepEqual(read?.("nonsense"), ["nonsense"]);
});
