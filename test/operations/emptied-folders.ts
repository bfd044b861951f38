/**
 * A proxy before the lab's S3 server that leaves out of its listings what no other S3 server lists: for some seconds after the
 * last object of a folder was removed, SeaweedFS lists the folder itself as an empty object, and Pulumi takes that for a lock
 * that it cannot read. All else passes unchanged.
 */
import { once } from "node:events";
import { Agent, createServer, request as send, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";

/** The running proxy. */
export interface WithoutEmptiedFolders {
  readonly endpoint: string;
  close(): void;
}

/** @param endpoint of the S3 server, `http://127.0.0.1:<port>` */
export async function withoutEmptiedFolders(endpoint: string): Promise<WithoutEmptiedFolders> {
  const { hostname, port } = new URL(endpoint);
  const agent = new Agent({ keepAlive: true });
  const server = createServer((incoming, outgoing) => {
    const { method, url = "", headers } = incoming;
    const passed = send({ hostname, port, method, path: url, headers, agent }, (answer) => {
      void text(answer, url.includes("list-type=2")).then((body) => {
        const { "content-length": _length, ...rest } = answer.headers;
        const known = body === undefined ? answer.headers : { ...rest, "content-length": body.length };
        outgoing.writeHead(answer.statusCode ?? 502, known);
        if (body === undefined) answer.pipe(outgoing);
        else outgoing.end(body);
      });
    });
    passed.on("error", () => outgoing.destroy());
    incoming.pipe(passed);
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: () => {
      server.close();
      server.closeAllConnections();
      agent.destroy();
    },
  };
}

/** A listing without folders; undefined for all else. */
async function text(answer: IncomingMessage, isListing: boolean): Promise<Buffer | undefined> {
  if (!isListing) return undefined;
  const chunks: Buffer[] = [];
  for await (const chunk of answer) chunks.push(chunk as Buffer);
  const listed = Buffer.concat(chunks).toString();
  return Buffer.from(
    listed.replaceAll(/<Contents>(?:(?!<\/Contents>).)*<\/Contents>/gs, (entry) =>
      /<Key>[^<]*(\/|%2F)<\/Key>/i.test(entry) ? "" : entry,
    ),
  );
}
