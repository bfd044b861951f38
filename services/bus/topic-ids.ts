/**
 * The ids of topics (KIP-516): a topic that is deleted and created again has its name, but another id. kafkajs's metadata
 * do not tell them, so this asks with the Metadata request of the Kafka protocol, version 12, itself.
 */

/** A broker's connection, as kafkajs has it. */
export interface AskedBroker {
  connectionPool: { send(protocol: { request: object; response: object }): Promise<unknown> };
}

const metadataKey = 3;
const version = 12;

/**
 * The end of a flexible request's head, then: all topics, allow_auto_topic_creation false,
 * include_topic_authorized_operations false, no tags.
 */
const request = Buffer.alloc(5);

/** Asks for the ids of all topics. @returns ids as 32 hexadecimal digits, by topic. @throws KafkaJSError */
export async function topicIds(broker: AskedBroker): Promise<Map<string, string>> {
  const answer = await broker.connectionPool.send({
    request: {
      apiKey: metadataKey,
      apiVersion: version,
      apiName: "Metadata",
      // kafkajs takes what looks like one of its encoders.
      encode: async () => ({ buf: request, buffer: request, size: () => request.length }),
    },
    response: {
      decode: async (bytes: Buffer) => readTopicIds(bytes),
      parse: async (read: unknown) => read,
    },
  });
  return answer as Map<string, string>;
}

/**
 * Response => throttle_time_ms [node_id host port rack] cluster_id controller_id
 * [error_code name topic_id is_internal [error_code index leader_id leader_epoch [replica] [isr] [offline]] operations]
 */
export function readTopicIds(bytes: Buffer): Map<string, string> {
  const read = new FlexibleReader(bytes);
  // The end of the answer's head.
  read.tags();
  read.skip(4);
  read.array(() => {
    read.skip(4);
    read.text();
    read.skip(4);
    read.text();
    read.tags();
  });
  read.text();
  read.skip(4);
  const ids = new Map<string, string>();
  read.array(() => {
    const errorCode = read.int16();
    const name = read.text();
    const id = read.hex(16);
    read.skip(1);
    read.array(() => {
      read.skip(2 + 4 + 4 + 4);
      for (let list = 0; list < 3; list++) read.array(() => read.skip(4));
      read.tags();
    });
    read.skip(4);
    read.tags();
    if (errorCode === 0 && name !== null) ids.set(name, id);
  });
  return ids;
}

/** Reads what flexible versions (KIP-482) are made of. */
class FlexibleReader {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  skip(bytes: number): void {
    this.#at += bytes;
  }

  int16(): number {
    return this.#bytes.readInt16BE((this.#at += 2) - 2);
  }

  hex(bytes: number): string {
    return this.#bytes.toString("hex", this.#at, (this.#at += bytes));
  }

  text(): string | null {
    const length = this.#number() - 1;
    return length < 0 ? null : this.#bytes.toString("utf8", this.#at, (this.#at += length));
  }

  array(item: () => void): void {
    for (let left = this.#number() - 1; left > 0; left--) item();
  }

  tags(): void {
    for (let left = this.#number(); left > 0; left--) {
      this.#number();
      this.skip(this.#number());
    }
  }

  /** Unsigned, base 128, least significant first. */
  #number(): number {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = this.#bytes.readUInt8(this.#at++);
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) return value >>> 0;
    }
  }
}
