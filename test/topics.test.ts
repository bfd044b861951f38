/** The catalog of deployables and the registry of topics tell the same story. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { topics, type TopicDefinition } from "../services/bus/topics.ts";
import { catalog } from "../services/catalog.ts";
import { eventTypes } from "../services/core/events.ts";

test("what the catalog reads and writes is in the registry, written by its owner", () => {
  const definitions: TopicDefinition[] = Object.values(topics);
  for (const { name, reads, writes } of catalog) {
    for (const topic of [...reads, ...writes]) {
      if (topic !== "*")
        assert.ok(
          definitions.some((each) => each.name === topic),
          topic,
        );
    }
    for (const topic of writes) {
      const owner = definitions.find((each) => each.name === topic)?.owner ?? "";
      assert.ok(
        owner.endsWith("*") ? name.startsWith(owner.slice(0, -1)) : name === owner,
        `${topic}: ${owner}`,
      );
    }
  }
  for (const { schemas } of definitions) for (const schema of schemas) assert.ok(schema in eventTypes);
});
