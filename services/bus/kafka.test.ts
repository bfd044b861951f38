import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import kafkajs from "kafkajs";
import { compression } from "./kafka.ts";

test("importing the bus registers an lz4 codec that gives back what it took", async () => {
  const codec = kafkajs.CompressionCodecs[compression] as unknown as () => {
    compress: (encoder: { buffer: Buffer }) => Promise<Buffer>;
    decompress: (buffer: Buffer) => Promise<Buffer>;
  };
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 5_000 }), async (bytes) => {
      const lz4 = codec();
      const buffer = Buffer.from(bytes);
      const frame = await lz4.compress({ buffer });
      // LZ4's frame magic, which the brokers expect.
      assert.equal(frame.readUInt32LE(0), 0x184d2204);
      assert.deepEqual(await lz4.decompress(frame), buffer);
    }),
  );
});
