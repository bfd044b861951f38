import assert from "node:assert/strict";
import { test } from "node:test";
import aliasPb from "@pulumi/pulumi/proto/alias_pb.js";
import callbackPb from "@pulumi/pulumi/proto/callback_pb.js";
import resourcePb from "@pulumi/pulumi/proto/resource_pb.js";
import structPb from "google-protobuf/google/protobuf/struct_pb.js";
import { UnsupportedError } from "./errors.ts";
import { readGoal } from "./goal.ts";
import { Providers } from "./providers.ts";

function request(): resourcePb.RegisterResourceRequest {
  return new resourcePb.RegisterResourceRequest().setType("a:b:C").setName("thing").setCustom(true);
}

function inputs(value: Record<string, structPb.JavaScriptValue>): structPb.Struct {
  return structPb.Struct.fromJavaScript(value);
}

test("every option that is not done is refused by name", () => {
  const binding = new resourcePb.RegisterResourceRequest.ResourceHooksBinding();
  binding.addBeforeDelete("hook");
  const withEnvironment = request();
  withEnvironment.getEnvvarmappingsMap().set("A", "B");
  const signature = "4dabf18193072939515e22adb298388d";
  const cases: [resourcePb.RegisterResourceRequest, RegExp][] = [
    [request().setRemote(true), /"remote component"/],
    [request().setImportid("4711"), /"import"/],
    [request().setReplaceWithList(["urn"]), /"replaceWith"/],
    [request().setReplacementTrigger(new structPb.Value()), /"replacementTrigger"/],
    [request().setTransformsList([new callbackPb.Callback()]), /"transforms"/],
    [request().setPackageref("p"), /"parameterized package"/],
    [request().setPlugindownloadurl("https://example.invalid"), /"pluginDownloadURL"/],
    [request().setHooks(binding), /"hooks.beforeDelete"/],
    [withEnvironment, /"envVarMappings"/],
    [
      request().setObject(inputs({ file: { [signature]: "c44067f5952c0a294b673a41bacd8c17", text: "x" } })),
      /a:b:C "thing".file: "asset"/,
    ],
    [
      request().setObject(inputs({ list: ["04da6b54-80e4-46f7-96ec-b56ff0331ba9"] })),
      /list\[0\]: "unknown value/,
    ],
  ];
  for (const [wrong, message] of cases) {
    assert.throws(
      () => readGoal(wrong),
      (error: unknown) => error instanceof UnsupportedError && message.test(error.message),
      String(message),
    );
  }
});

test("options are read as the program gave them", () => {
  const goal = readGoal(
    request()
      .setProtect(true)
      .setDeletedwith("urn:with")
      .setDeletebeforereplace(false)
      .setDeletebeforereplacedefined(true)
      .setIgnorechangesList(["a.b"])
      .setCustomtimeouts(new resourcePb.RegisterResourceRequest.CustomTimeouts().setCreate("5m"))
      .setAliasesList([
        new aliasPb.Alias().setUrn("urn:old"),
        new aliasPb.Alias().setSpec(new aliasPb.Alias.Spec().setName("former").setNoparent(true)),
      ]),
  );
  assert.deepEqual(
    [goal.protect, goal.deletedWith, goal.deleteBeforeReplace, goal.ignoreChanges, goal.customTimeouts],
    [true, "urn:with", false, ["a.b"], { create: "5m" }],
  );
  assert.deepEqual(goal.aliases, [{ urn: "urn:old" }, { name: "former", noParent: true }]);
  assert.equal(readGoal(request()).deleteBeforeReplace, undefined);
});

test("an unknown package or type is refused with what is known", () => {
  const providers = new Providers({ resources: [], pendingCreations: [] }, {});
  assert.throws(
    () => providers.definition("aws:s3/bucket:Bucket", undefined),
    /package aws .*the lab knows|the lab knows .*package aws/,
  );
  assert.throws(
    () => providers.definition("random:index/randomPet:RandomPet", undefined),
    /RandomPet.*not supported/,
  );
  assert.throws(() => providers.definition("hcloud:index/server:Server", undefined), /token/);
  assert.ok(providers.definition("random:index/randomUuid:RandomUuid", undefined));
});
