/**
 * Those who are told: the receiver of the webhook, and a service that watches heartbeats. SIMULATED: it is a server on
 * loopback that writes down what really comes by HTTP; that somebody reads it is assumed.
 */
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { Job } from "./faults.ts";

/** A notice as it arrived. */
export interface ReceivedNotice {
  /** Simulated time of its arrival. */
  at: Date;
  kind: string;
  stack: string;
  cluster: string | null;
  text: string;
}

/** A heartbeat as it arrived. */
export interface ReceivedBeat {
  at: Date;
  job: Job;
  /** Only `success` keeps the alarm quiet. */
  word: "success" | "start" | "fail";
}

/** See the module's description. Close it when done. */
export class SimulatedPeople {
  readonly notices: ReceivedNotice[] = [];
  readonly beats: ReceivedBeat[] = [];
  /** Whether the webhook's receiver answers 503; heartbeats go to another service. */
  isDown = false;
  readonly #server;
  readonly #now: () => Date;

  private constructor(now: () => Date) {
    this.#now = now;
    this.#server = createServer((request, response) => void this.#answer(request, response));
  }

  /** @param now the simulated time */
  static async start(now: () => Date): Promise<SimulatedPeople> {
    const people = new SimulatedPeople(now);
    people.#server.listen(0, "127.0.0.1");
    await once(people.#server, "listening");
    return people;
  }

  /** For `openNotifier`. */
  get environment(): Record<"TRADING_WEBHOOK_URL" | "TRADING_HEARTBEAT_URL", string> {
    const { port } = this.#server.address() as AddressInfo;
    const base = `http://127.0.0.1:${port}`;
    return { TRADING_WEBHOOK_URL: `${base}/webhook`, TRADING_HEARTBEAT_URL: `${base}/beat/{job}` };
  }

  /** Whether a beat of a job came in [from, until]; without it the watching service raises the alarm at `until`. */
  hasBeat(job: Job, from: Date, until: Date): boolean {
    return this.beats.some(
      (beat) => beat.job === job && beat.word === "success" && beat.at >= from && beat.at <= until,
    );
  }

  async close(): Promise<void> {
    const closed = once(this.#server, "close");
    this.#server.close();
    this.#server.closeAllConnections();
    await closed;
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
    const [, first, job, word = "success"] = (request.url ?? "").split("?", 1)[0]?.split("/") ?? [];
    const end = (status: number): void => void response.writeHead(status).end();
    const at = this.#now();
    if (first === "beat") {
      this.beats.push({ at, job: job as Job, word: word as ReceivedBeat["word"] });
      return end(200);
    }
    if (first !== "webhook") return end(404);
    if (this.isDown) return end(503);
    const notice = JSON.parse(Buffer.concat(chunks).toString()) as Omit<ReceivedNotice, "at">;
    const { kind, stack, cluster, text } = notice;
    this.notices.push({ at, kind, stack, cluster, text });
    end(200);
  }
}
