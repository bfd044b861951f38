/** Clients of the lab's Alpaca, for tests: of the stock stream, and of REST. */
import assert from "node:assert/strict";
import { setTimeout as delay } from "node:timers/promises";
import { decode, decodeTimestampToTimeSpec, encode, ExtensionCodec } from "@msgpack/msgpack";
import { WebSocket } from "ws";
import type { LabAlpaca } from "../index.ts";

/** A message of the stream. */
export type Message = Record<string, unknown> & { T?: string };

/** Waits until `probe` finds something. @param what said when it does not within 10 s. */
export async function until<T>(what: string, probe: () => T | undefined): Promise<T> {
  const deadline = Date.now() + 10_000;
  for (;;) {
    const found = probe();
    if (found !== undefined && found !== false) return found;
    assert.ok(Date.now() < deadline, `${what} did not come within 10 s`);
    await delay(5);
  }
}

/** A trade message at a price. @param extra further or other fields. */
export const trade = (S: string, p: number, extra: object = {}) =>
  JSON.stringify({ T: "t", S, p, s: 1, t: "2025-01-02T14:30:00.123456789Z", ...extra });

/** A client of the stock stream, JSON or MessagePack. */
export class Client {
  readonly socket: WebSocket;
  /** Frames, each an array of messages. */
  readonly frames: Message[][] = [];
  readonly texts: string[] = [];
  closed = false;
  readonly #packed: boolean;

  constructor(url: string, options: { headers?: Record<string, string>; packed?: boolean } = {}) {
    this.#packed = options.packed === true;
    const codec = new ExtensionCodec();
    codec.register({ type: -1, encode: () => null, decode: (data) => decodeTimestampToTimeSpec(data) });
    const headers = {
      ...options.headers,
      ...(this.#packed ? { "content-type": "application/msgpack" } : {}),
    };
    this.socket = new WebSocket(url, { headers });
    this.socket.on("close", () => (this.closed = true));
    this.socket.on("error", () => undefined);
    this.socket.on("message", (data: Buffer, isBinary: boolean) => {
      assert.equal(isBinary, this.#packed);
      if (!isBinary) this.texts.push(data.toString());
      this.frames.push(
        (this.#packed ? decode(data, { extensionCodec: codec }) : JSON.parse(data.toString())) as Message[],
      );
    });
  }
  get messages(): Message[] {
    return this.frames.flat();
  }
  get data(): Message[] {
    return this.messages.filter(({ T }) => T !== "success" && T !== "subscription" && T !== "error");
  }
  send(message: object): void {
    this.socket.send(this.#packed ? encode(message) : JSON.stringify(message));
  }
  message(matches: (message: Message) => boolean): Promise<Message> {
    return until("the message", () => this.messages.find(matches));
  }
  error(code: number): Promise<Message> {
    return this.message(({ T, code: found }) => T === "error" && found === code);
  }
  async login(alpaca: LabAlpaca): Promise<this> {
    await this.message(({ msg }) => msg === "connected");
    this.send({ action: "auth", key: alpaca.keyId, secret: alpaca.secret });
    await this.message(({ msg }) => msg === "authenticated");
    return this;
  }
  async subscribe(lists: Record<string, string[]>): Promise<Message> {
    const before = this.messages.length;
    this.send({ action: "subscribe", ...lists });
    return until("the subscription", () =>
      this.messages.slice(before).find(({ T }) => T === "subscription" || T === "error"),
    );
  }
}

/** A request to REST, with the account's credentials. */
export async function call(
  alpaca: LabAlpaca,
  method: string,
  path: string,
  body?: unknown,
  keyId = alpaca.keyId,
) {
  const response = await fetch(alpaca.rest + path, {
    method,
    headers: { "APCA-API-KEY-ID": keyId, "APCA-API-SECRET-KEY": alpaca.secret },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  return {
    status: response.status,
    headers: response.headers,
    body: (text === "" ? undefined : JSON.parse(text)) as unknown,
  };
}
