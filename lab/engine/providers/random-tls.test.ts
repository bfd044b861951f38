import assert from "node:assert/strict";
import { createPrivateKey, createPublicKey, sign, verify } from "node:crypto";
import { test } from "node:test";
import fc from "fast-check";
import ssh2 from "ssh2";
import { checkInputs } from "../inputs.ts";
import { CheckError } from "../errors.ts";
import type { PropertyMap } from "../properties.ts";
import { testContext } from "../testing/context.ts";
import type { ResourceDefinition } from "../provider.ts";
import { random } from "./random.ts";
import { tls } from "./tls.ts";

function resource(type: string): ResourceDefinition {
  const entry = type.startsWith("tls") ? tls : random;
  const found = entry.configure({}).resource(type);
  assert.ok(found);
  return found;
}

async function make(
  type: string,
  inputs: PropertyMap,
): Promise<{ id: string; outputs: Record<string, string> }> {
  const definition = resource(type);
  const { id, outputs } = await definition.create(
    checkInputs(definition, inputs, undefined, "x"),
    testContext(),
  );
  return { id, outputs: outputs as Record<string, string> };
}

test("random texts have the length and the characters that were asked for", async () => {
  const choice = fc.record({
    length: fc.integer({ min: 8, max: 60 }),
    lower: fc.boolean(),
    upper: fc.boolean(),
    numeric: fc.boolean(),
    minNumeric: fc.integer({ min: 0, max: 4 }),
    overrideSpecial: fc.constantFrom("_-", "!"),
  });
  await fc.assert(
    fc.asyncProperty(choice, async (inputs) => {
      const { outputs } = await make("random:index/randomString:RandomString", inputs);
      const result = outputs["result"] ?? "";
      assert.equal(result.length, inputs.length);
      if (!inputs.lower) assert.doesNotMatch(result, /[a-z]/);
      if (!inputs.upper) assert.doesNotMatch(result, /[A-Z]/);
      if (!inputs.numeric) assert.doesNotMatch(result, /\d/);
      else assert.ok((result.match(/\d/g) ?? []).length >= inputs.minNumeric);
      assert.doesNotMatch(result, inputs.overrideSpecial === "!" ? /[_-]/ : /!/);
    }),
    { numRuns: 60 },
  );
});

test("the other random resources, and what they refuse", async () => {
  const cluster = await make("random:index/randomString:RandomString", {
    length: 21,
    special: false,
    keepers: { a: "b" },
  });
  assert.match(cluster.id, /^[A-Za-z0-9]{21}$/);
  assert.deepEqual(cluster.outputs["keepers"], { a: "b" });
  const password = await make("random:index/randomPassword:RandomPassword", { length: 30 });
  assert.equal(password.id, "none");
  const id = await make("random:index/randomId:RandomId", { byteLength: 8, prefix: "p-" });
  assert.equal(BigInt(`0x${id.outputs["hex"]?.slice(2)}`), BigInt(id.outputs["dec"]?.slice(2) ?? ""));
  assert.equal(Buffer.from(id.id, "base64url").toString("hex"), id.outputs["hex"]?.slice(2));
  const bytes = await make("random:index/randomBytes:RandomBytes", { length: 32 });
  assert.equal(Buffer.from(bytes.outputs["base64"] ?? "", "base64").toString("hex"), bytes.outputs["hex"]);
  assert.match((await make("random:index/randomUuid:RandomUuid", {})).id, /^[0-9a-f-]{36}$/);

  const strings = resource("random:index/randomString:RandomString");
  const wrongs: PropertyMap[] = [
    { length: 0 },
    {},
    { length: 3, minUpper: 4 },
    { length: 3, special: true, upercase: false },
  ];
  for (const wrong of wrongs) {
    assert.throws(() => checkInputs(strings, wrong, undefined, "x"), CheckError, JSON.stringify(wrong));
  }
});

test("keys in all their forms are one key, and SSH reads them", async () => {
  const kinds: PropertyMap[] = [
    { algorithm: "ED25519" },
    { algorithm: "RSA", rsaBits: 2048 },
    { algorithm: "ECDSA", ecdsaCurve: "P256" },
    { algorithm: "ECDSA", ecdsaCurve: "P384" },
    { algorithm: "ECDSA", ecdsaCurve: "P521" },
  ];
  for (const inputs of kinds) {
    const { outputs } = await make("tls:index/privateKey:PrivateKey", inputs);
    const what = JSON.stringify(inputs);
    const message = Buffer.from("message");
    const digest = inputs["algorithm"] === "ED25519" ? null : "sha256";
    for (const form of ["privateKeyPem", "privateKeyPemPkcs8"]) {
      const signature = sign(digest, message, createPrivateKey(outputs[form] ?? ""));
      assert.ok(verify(digest, message, createPublicKey(outputs["publicKeyPem"] ?? ""), signature), what);
    }
    const secret = ssh2.utils.parseKey(outputs["privateKeyOpenssh"] ?? "");
    const open = ssh2.utils.parseKey(outputs["publicKeyOpenssh"] ?? "");
    assert.ok(!(secret instanceof Error) && !(open instanceof Error), what);
    assert.equal(open.verify(message, secret.sign(message)), true, what);
    assert.deepEqual(secret.getPublicSSH(), open.getPublicSSH(), what);
    assert.match(outputs["publicKeyFingerprintSha256"] ?? "", /^SHA256:[A-Za-z0-9+/]{43}$/);
    assert.match(outputs["publicKeyFingerprintMd5"] ?? "", /^([0-9a-f]{2}:){15}[0-9a-f]{2}$/);
    assert.ok(outputs["publicKeyOpenssh"]?.endsWith("\n"));
  }
  const small = await make("tls:index/privateKey:PrivateKey", { algorithm: "ECDSA", ecdsaCurve: "P224" });
  assert.equal(small.outputs["privateKeyOpenssh"], "", "OpenSSH has no P-224");
});
