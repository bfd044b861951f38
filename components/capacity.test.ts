import assert from "node:assert/strict";
import test from "node:test";
import fc from "fast-check";
import { chooseCapacity, NoCapacityError } from "./capacity.ts";
import { defaultAnswers, serverType } from "./testing/recording.ts";

const wishes = {
  locations: ["fsn1", "nbg1", "hel1"],
  brokerServerTypes: ["cpx31", "cpx32", "cx33"],
  controlPlaneServerTypes: ["cpx21", "cpx22", "cx23"],
};
const zones = defaultAnswers.locations;
const big = { cores: 4, memory: 8 };
const small = { cores: 2, memory: 4 };

test("the types of seed 000 where they are sold", () => {
  const choice = chooseCapacity(
    wishes,
    [
      serverType("cpx31", big, { fsn1: "available" }),
      serverType("cpx32", big, { fsn1: "available" }),
      serverType("cpx21", small, { fsn1: "available" }),
    ],
    zones,
  );
  assert.deepEqual(choice, {
    location: "fsn1",
    networkZone: "eu-central",
    brokerServerType: "cpx31",
    controlPlaneServerType: "cpx21",
  });
});

test("a deprecated type is passed over for its successor", () => {
  const choice = chooseCapacity(wishes, defaultAnswers.serverTypes, zones);
  assert.equal(choice.location, "fsn1");
  assert.equal(choice.brokerServerType, "cpx32");
  assert.equal(choice.controlPlaneServerType, "cpx22");
});

test("both types come from one location", () => {
  const choice = chooseCapacity(
    wishes,
    [
      serverType("cpx32", big, { fsn1: "available", nbg1: "available" }),
      serverType("cpx22", small, { fsn1: "sold out", nbg1: "available" }),
    ],
    zones,
  );
  assert.equal(choice.location, "nbg1");
});

test("what runs decides, even when nothing is left to buy", () => {
  const choice = chooseCapacity(wishes, [], zones, [
    { role: "kafka", serverType: "cx33", location: "hel1" },
    { role: "k3s-control", serverType: "cx23", location: "hel1" },
  ]);
  assert.equal(choice.location, "hel1");
  assert.equal(choice.brokerServerType, "cx33");
  assert.equal(choice.controlPlaneServerType, "cx23");
});

test("a half-made cluster is completed where it is", () => {
  const choice = chooseCapacity(
    wishes,
    [serverType("cpx22", small, { fsn1: "available", nbg1: "available" })],
    zones,
    [{ role: "kafka", serverType: "cpx32", location: "nbg1" }],
  );
  assert.equal(choice.location, "nbg1");
  assert.equal(choice.controlPlaneServerType, "cpx22");
});

test("without capacity, every reason is named", () => {
  const types = [
    serverType("cpx31", big, { fsn1: "deprecated", nbg1: "sold out" }),
    serverType("cpx32", { cores: 2, memory: 4 }, { fsn1: "available" }),
    { ...serverType("cx33", big, { fsn1: "available" }), architecture: "arm" },
    serverType("cpx22", small, { hel1: "available" }),
  ];
  assert.throws(
    () => chooseCapacity({ ...wishes, locations: ["fsn1", "nbg1", "mars"] }, types, zones),
    (error: unknown) => {
      assert.ok(error instanceof NoCapacityError);
      for (const part of [
        "fsn1: cpx31: deprecated",
        "fsn1: cpx32: 2 cores and 4 GB, needed 4 and 8",
        "fsn1: cx33: architecture arm",
        "fsn1: cpx21: no such server type",
        "nbg1: cpx31: out of stock",
        "nbg1: cpx22: not offered",
        "mars: no such location (there are fsn1, nbg1, hel1)",
        "trading:locations",
      ]) {
        assert.ok(error.message.includes(part), `${part} in:\n${error.message}`);
      }
      return true;
    },
  );
});

test("whatever is on sale, the choice is on sale, or there was none", () => {
  const state = fc.constantFrom("available", "sold out", "deprecated");
  const offers = fc.dictionary(fc.constantFrom("fsn1", "nbg1", "hel1"), state);
  const names = [...wishes.brokerServerTypes, ...wishes.controlPlaneServerTypes];
  fc.assert(
    fc.property(fc.tuple(...names.map(() => offers)), (sales) => {
      const types = names.map((name, index) => serverType(name, big, sales[index] ?? {}));
      const sold = (name: string, location: string) =>
        types
          .find((type) => type.name === name)
          ?.locations.some((offer) => offer.name === location && offer.available && !offer.isDeprecated) ??
        false;
      const possible = wishes.locations.filter(
        (location) =>
          wishes.brokerServerTypes.some((name) => sold(name, location)) &&
          wishes.controlPlaneServerTypes.some((name) => sold(name, location)),
      );
      if (possible.length === 0) {
        assert.throws(() => chooseCapacity(wishes, types, zones), NoCapacityError);
        return;
      }
      const choice = chooseCapacity(wishes, types, zones);
      assert.equal(choice.location, possible[0]);
      assert.ok(sold(choice.brokerServerType, choice.location));
      assert.ok(sold(choice.controlPlaneServerType, choice.location));
    }),
  );
});
