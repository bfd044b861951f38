import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { answerFaults, type FaultKind, faultKinds, FaultPlanError, Faults, Obstruction } from "./faults.ts";

const fates = (faults: Faults, keys: readonly string[]) =>
  new Map(
    keys.map((key) => {
      let news: string | undefined;
      let taken = false;
      const result = faults.order(key, (kind) => {
        taken = true;
        news = kind;
        return "answer";
      });
      return [key, `${result instanceof Obstruction ? result.kind : result} ${taken} ${news}`];
    }),
  );
const keys = Array.from({ length: 300 }, (_, index) => `order ${index}`);

describe("faults", () => {
  it("give an order the same fate whatever else happens, and another one with another seed", () => {
    const rates = Object.fromEntries(faultKinds.map((kind) => [kind, 0.1]));
    const first = fates(new Faults({ seed: 1, rates }), keys);
    assert.deepEqual(fates(new Faults({ seed: 1, rates }), keys.toReversed()), new Map([...first].reverse()));
    assert.notDeepEqual(fates(new Faults({ seed: 2, rates }), keys), first);
    const answers = [...first.values()].map((fate) => fate.split(" ")[0]);
    assert.deepEqual(new Set(answers), new Set(["answer", ...answerFaults]));
  });

  it("happen as often as planned, and are counted where they happen", () => {
    const faults = new Faults({ seed: 3, rates: { drop_socket: 0.5, late_result: 0.3 } });
    const seen = [...fates(faults, keys).values()];
    const count = (pattern: RegExp) => seen.filter((fate) => pattern.test(fate)).length;
    const { counts } = faults;
    assert.equal(counts.drop_socket, count(/^drop_socket/));
    assert.equal(counts.late_result, count(/late_result$/));
    assert.ok(Math.abs(counts.drop_socket - 150) < 40, `${counts.drop_socket} of 300 at 0.5`);
    assert.ok(Math.abs(count(/^drop_socket true/) - count(/^drop_socket false/)) < 60);
    assert.equal(counts.server_error + counts.no_news, 0);
  });

  it("take the order or don't, as their names say, and leave a refusal as it is", () => {
    const taking: Partial<Record<FaultKind, boolean>> = {
      timeout_after_accept: true,
      error_after_accept: true,
      server_error: false,
      rate_limited: false,
    };
    for (const [kind, taken] of Object.entries(taking)) {
      const faults = new Faults({ seed: 1, rates: { [kind]: 1 } });
      assert.equal(fates(faults, ["a"]).get("a"), `${kind} ${taken} undefined`);
    }
    const faults = new Faults({ seed: 1, rates: { error_after_accept: 1, no_news: 1 } });
    assert.equal(
      faults.order(
        "a",
        () => "refused",
        () => false,
      ),
      "refused",
    );
    assert.throws(() =>
      faults.order("a", () => {
        throw new Error("refused");
      }),
    );
    assert.ok(Object.values(faults.counts).every((count) => count === 0));
  });

  it("ask for a plan that can be followed, naming every mistake", () => {
    const rates = { server_error: 0.7, rate_limited: 0.7, no_news: -1, weather: 0.1 };
    assert.throws(
      () => new Faults({ seed: 0.5, rates, askRates: { timeout: Number.NaN }, lateMs: -1 }),
      (error) => {
        assert.ok(error instanceof FaultPlanError);
        for (const part of [
          "seed",
          "add up to 1.4",
          "rates.no_news",
          "rates.weather",
          "askRates.timeout",
          "lateMs",
        ])
          assert.ok(error.message.includes(part), part);
        return true;
      },
    );
  });

  it("never happen without a plan", () => {
    fc.assert(
      fc.property(fc.string(), (key) => {
        const faults = new Faults();
        assert.equal(fates(faults, [key]).get(key), "answer true undefined");
        assert.equal(faults.ask(key), undefined);
      }),
    );
  });

  it("deliver news once, twice, late or never", async () => {
    const faults = new Faults({ seed: 1, rates: {}, lateMs: 1 });
    const sent: string[] = [];
    faults.deliver(undefined, true, () => sent.push("once"));
    faults.deliver("answer_twice", false, () => sent.push("twice"));
    faults.deliver("no_news", true, () => sent.push("never"));
    faults.deliver("late_result", false, () => sent.push("no result, on time"));
    await new Promise<void>((resolve) =>
      faults.deliver("late_result", true, () => {
        sent.push("late");
        resolve();
      }),
    );
    assert.deepEqual(sent, ["once", "twice", "twice", "no result, on time", "late"]);
    faults.deliver("late_result", true, () => sent.push("after the end"));
    faults.close();
  });
});
