import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { createServer, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { after, test } from "node:test";
import {
  ArchiveBucketFullError,
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
    [403, "QuotaExceeded", ArchiveBucketFullError, /is full .*Raise its quota or remove old archives/],
    [507, "InsufficientStorage", ArchiveBucketFullError, /is full/],
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

/** Answers a multipart upload; notes what was asked, with the query's names. */
function multipart(fails: boolean, asked: string[]) {
  return (response: ServerResponse): void => {
    const { method, url = "" } = response.req;
    const names = [...new URL(url, "http://x").searchParams.keys()].filter((name) => name !== "x-id");
    asked.push(`${method} ${names.sort().join(" ")}`.trim());
    const xml = (body: string) => response.writeHead(200, { "content-type": "application/xml" }).end(body);
    if (method === "POST" && names.includes("uploads")) {
      xml("<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>");
    } else if (method === "POST") {
      xml('<CompleteMultipartUploadResult><ETag>"done-3"</ETag></CompleteMultipartUploadResult>');
    } else if (method === "DELETE") response.writeHead(204).end();
    else if (fails) fail(403, "QuotaExceeded")(response);
    else {
      assert.ok(response.req.headers["content-md5"]);
      response.writeHead(200, { etag: '"part"' }).end();
    }
  };
}

test("a large object goes in parts; when that fails, nothing is left of them", async () => {
  const body = Buffer.alloc(17 * 1024 * 1024);
  const asked: string[] = [];
  const store = await storeAt(multipart(false, asked), 1, 10_000);
  assert.deepEqual(await store.put("a", body, { contentType: "x" }), { etag: "done-3" });
  const part = "PUT partNumber uploadId";
  assert.deepEqual(asked, ["POST uploads", part, part, part, "POST uploadId"]);

  asked.length = 0;
  const failing = await storeAt(multipart(true, asked), 1, 10_000);
  await assert.rejects(failing.put("a", body, { contentType: "x" }), ArchiveBucketFullError);
  assert.deepEqual(asked, ["POST uploads", part, "DELETE uploadId"]);
});

test("a small object goes at once, with the MD5 that the server checks it against", async () => {
  let md5: string | undefined;
  const store = await storeAt((response) => {
    md5 = response.req.headers["content-md5"] as string | undefined;
    response.writeHead(200, { etag: '"e"' }).end();
  });
  assert.deepEqual(await store.put("a", "content", { contentType: "x" }), { etag: "e" });
  assert.equal(md5, createHash("md5").update("content").digest("base64"));
});

test("the server's time is that of the try that was answered", async () => {
  const patientMs = 30_000;
  const theirs = Date.parse("Tue, 14 Oct 2025 12:00:00 GMT");
  const late = await storeAt(
    (response, requests) => {
      response.setHeader("date", new Date(theirs).toUTCString());
      if (requests === 1) response.writeHead(503).end();
      else response.writeHead(200).end();
    },
    2,
    patientMs,
  );
  let now = 0;
  const clock = () => (now += 1_000);
  assert.deepEqual(await late.askTime(clock), { theirs, askedAt: 2_000, answeredAt: 3_000 });
  const silent = await storeAt(
    (response) => {
      response.sendDate = false;
      response.writeHead(200).end();
    },
    1,
    patientMs,
  );
  await assert.rejects(silent.askTime(), /answers without a date/);
});
