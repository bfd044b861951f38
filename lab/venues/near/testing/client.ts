/** Clients of the lab's relay, for tests: a market maker, a taker's RPC, and offers right and wrong. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { WebSocket } from "ws";
import { generateNearQuotes, type NearQuote } from "../../../session/index.ts";
import { decodeBase58, encodeBase58 } from "../base58.ts";
import type { LabNear } from "../index.ts";
import { nep413Hash, signEd25519 } from "../nep413.ts";
import { makeNonce } from "../nonce.ts";

/** Fields of a message. */
export type Fields = Record<string, unknown>;
/** An answer or event of the relay. */
export interface Incoming {
  id?: number;
  method?: string;
  result?: unknown;
  error?: { code: number; message: string };
  params?: Fields;
}

/** A market maker's connection. */
export class Maker {
  readonly socket: WebSocket;
  readonly events: Fields[] = [];
  readonly shapes: string[] = [];
  #next = 1;
  readonly #waiting = new Map<number, (incoming: Incoming) => void>();

  constructor(near: LabNear, token = near.token) {
    this.socket = new WebSocket(near.ws, { headers: { authorization: `Bearer ${token}` } });
    this.socket.on("message", (data: Buffer) => {
      const incoming = JSON.parse(data.toString()) as Incoming;
      if (incoming.id !== undefined) this.#waiting.get(incoming.id)?.(incoming);
      else {
        this.shapes.push(String(incoming.method));
        const params = incoming.params ?? {};
        const { data: inner, metadata: _metadata, ...fields } = params;
        this.events.push(
          incoming.method === "event" ? { subscription: params.subscription, ...(inner as Fields) } : fields,
        );
      }
    });
  }
  static async connect(near: LabNear): Promise<Maker> {
    const maker = new Maker(near);
    await new Promise((resolve, reject) => maker.socket.once("open", resolve).once("error", reject));
    return maker;
  }
  call(method: string, ...params: unknown[]): Promise<Incoming> {
    const id = this.#next++;
    return new Promise((resolve) => {
      this.#waiting.set(id, resolve);
      this.socket.send(JSON.stringify({ jsonrpc: "2.0", id, method, params }));
    });
  }
  async event(matches: (event: Fields) => boolean): Promise<Fields> {
    const deadline = Date.now() + 10_000;
    for (;;) {
      const found = this.events.find(matches);
      if (found !== undefined) return found;
      assert.ok(Date.now() < deadline, "the event did not come within 10 s");
      await delay(5);
    }
  }
}

/** A call of the relay's RPC over HTTP. */
export async function rpc(near: LabNear, method: string, params: unknown[], token = near.token) {
  const response = await fetch(near.rpc, {
    method: "POST",
    headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
    body: JSON.stringify({ jsonrpc: "2.0", id: 7, method, params }),
  });
  return { status: response.status, body: (await response.json()) as Incoming };
}

/** What makes an offer a different or a wrong one. */
export interface OfferOptions {
  deadlineMs?: number;
  nonce?: Buffer;
  salt?: string;
  signerId?: string;
  privateKey?: string;
  recipient?: string;
  amount?: string;
  signedAmount?: string;
}

/** An offer as a solver signs it; options make it wrong. */
export function offer(near: LabNear, quote: NearQuote, options: OfferOptions = {}) {
  const amount = options.amount ?? "1000";
  const signedAmount = options.signedAmount ?? amount;
  const deadlineMs = options.deadlineMs ?? Date.now() + 120_000;
  const nonce = options.nonce ?? makeNonce({ salt: options.salt ?? near.salt, deadlineMs }, randomBytes(15));
  const message = JSON.stringify({
    signer_id: options.signerId ?? near.signerId,
    deadline: new Date(deadlineMs).toISOString(),
    intents: [
      {
        intent: "token_diff",
        diff: {
          [quote.defuse_asset_identifier_in]: quote.exact_amount_in ?? signedAmount,
          [quote.defuse_asset_identifier_out]: `-${quote.exact_amount_out ?? signedAmount}`,
        },
      },
    ],
  });
  const recipient = options.recipient ?? "intents.near";
  const privateKey = options.privateKey ?? near.privateKey;
  const hash = nep413Hash({ message, nonce, recipient });
  const publicKey = `ed25519:${encodeBase58((decodeBase58(privateKey.slice(8)) ?? new Uint8Array(64)).slice(32))}`;
  return {
    hash: encodeBase58(hash),
    response: {
      quote_id: quote.quote_id,
      quote_output: quote.exact_amount_in === undefined ? { amount_in: amount } : { amount_out: amount },
      signed_data: {
        standard: "nep413",
        payload: { recipient, nonce: nonce.toString("base64"), message },
        public_key: publicKey,
        signature: signEd25519(hash, privateKey),
      },
    },
  };
}

/** Quotes whose auctions last long enough for the busiest machine. */
export const someQuotes = (count: number): NearQuote[] => {
  const quotes = generateNearQuotes(5);
  return Array.from({ length: count }, () => ({
    ...quotes.next().value,
    min_wait_ms: 9_000,
    max_wait_ms: 10_000,
  }));
};
