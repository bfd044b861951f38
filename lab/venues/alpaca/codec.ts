/** Frames of the stock stream: JSON text, or MessagePack when the handshake asked for it. */
import { decode, encode, encodeTimeSpecToTimestamp, ExtData } from "@msgpack/msgpack";

/** How one connection's frames are written and read. */
export interface Codec {
  /** A frame of messages that are JSON texts. */
  encode(messages: readonly string[]): string | Buffer;
  /** @throws when the frame cannot be read. */
  decode(frame: Buffer): unknown;
}

/** The messages' exact texts stand in the frame. */
export const jsonCodec: Codec = {
  encode: (messages) => `[${messages.join(",")}]`,
  decode: (frame) => JSON.parse(frame.toString("utf8")) as unknown,
};

/** MessagePack's own timestamp type has this number (specification of MessagePack). */
const timestampType = -1;

/** RFC 3339 with up to nanoseconds as a MessagePack timestamp. */
function timestamp(text: string): ExtData {
  const fraction = /\.(\d{1,9})/.exec(text)?.[1] ?? "";
  const seconds = Math.floor(Date.parse(text.replace(/\.\d+/, "")) / 1_000);
  return new ExtData(
    timestampType,
    encodeTimeSpecToTimestamp({ sec: seconds, nsec: Number(fraction.padEnd(9, "0")) }),
  );
}

/** What alpaca-py speaks. Whole numbers beyond 2^53 lose digits here, unlike in JSON frames. */
export const messagePackCodec: Codec = {
  encode: (messages) => {
    const values = messages.map((text) => {
      const value = JSON.parse(text) as Record<string, unknown>;
      return typeof value.t === "string" ? { ...value, t: timestamp(value.t) } : value;
    });
    return Buffer.from(encode(values));
  },
  decode: (frame) => decode(frame),
};
