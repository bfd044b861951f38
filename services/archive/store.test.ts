import assert from "node:assert/strict";
import { createServer, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { after, test } from "node:test";
import {
  ArchiveBucketMissingError,
  ArchiveCredentialsError,
  ArchiveStore,
  ArchiveStoreError,
  ArchiveUnreachableError,
} from "./store.ts";

// What a well-behaved S3 server answers is tested with a real one in test/archive.test.ts; here are the others.
const servers: Server[] = [];
after(() => {
  for (const server of servers) server.close().closeAllConnections();
});

async function storeAt(
  answer: (response: ServerResponse, requests: number) => void,
  attempts = 1,
  requestTimeoutMs = 300,
): Promise<ArchiveStore> {
  let requests = 0;
  const server = createServer((request, response) => {
    request.resume();
    answer(response, ++requests);
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return new ArchiveStore({
    endpoint: `http://127.0.0.1:${port}`,
    region: "fsn1",
    bucket: "archive",
    accessKeyId: "KEY",
    secretAccessKey: "very-secret",
    requestTimeoutMs,
    attempts,
  });
}
const fail = (status: number, code: string) => (response: ServerResponse) =>
  response.writeHead(status).end(`<Error><Code>${code}</Code><Message>no</Message></Error>`);

test("what a server refuses becomes an error that says what to do, never with the secret", async () => {
  const cases = [
    [403, "SignatureDoesNotMatch", ArchiveCredentialsError, /access key KEY.*Check archiveAccessKeyId/],
    [403, "AccessDenied", ArchiveCredentialsError, /AccessDenied/],
    [404, "NoSuchBucket", ArchiveBucketMissingError, /no bucket "archive" at .*Create it/],
    [400, "InvalidRequest", ArchiveStoreError, /InvalidRequest/],
    [503, "SlowDown", ArchiveUnreachableError, /does not answer.*Check the network/],
  ] as const;
  for (const [status, code, type, message] of cases) {
    const store = await storeAt(fail(status, code));
    await assert.rejects(store.get("a"), (error: Error) => {
      assert.ok(error instanceof type, `${code}: ${error.name}`);
      assert.match(error.message, message);
      assert.ok(!error.message.includes("very-secret"));
      return true;
    });
  }
});

test("an object that is not there is no error", async () => {
  const store = await storeAt(fail(404, "NoSuchKey"));
  assert.equal(await store.get("a"), undefined);
  assert.equal(await store.getJson("a"), undefined);
});

test("a server that is busy for a moment is asked again", async () => {
  const store = await storeAt(
    (response, requests) => {
      if (requests === 1) fail(503, "SlowDown")(response);
      else response.end("{}");
    },
    2,
    10_000,
  );
  assert.deepEqual(await store.getJson("a"), {});
});

test("a server that never answers, or stops in the middle, is given up", async () => {
  const silent = await storeAt(() => undefined);
  await assert.rejects(silent.list(""), ArchiveUnreachableError);
  const stalling = await storeAt((response) =>
    response.writeHead(200, { "content-length": "10" }).write("half"),
  );
  await assert.rejects(stalling.get("a"), ArchiveUnreachableError);
  const breaking = await storeAt((response) => {
    response.writeHead(200, { "content-length": "10" }).write("half", () => response.destroy());
  });
  await assert.rejects(breaking.get("a"), ArchiveUnreachableError);
});
