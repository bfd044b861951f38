/**
 * What the bucket holds of one partition, in memory: the gapless chain of its objects, and which of them were read back.
 * They are read back in order, so that each is checked against the chain that the ones before it make.
 */
import { type Covering, longestChain } from "./chain.ts";
import type { ListedRange } from "./cluster-archive.ts";
import type { ManifestObject } from "./documents.ts";
import type { ExpectedObject, ObjectContent } from "./object.ts";
import { type ChainPoint, chainStart } from "./record-hash.ts";

/** An object of the chain. */
export interface ArchivedObject extends Covering {
  /** Relative to the archive's prefix. */
  name: string;
  /** As noted when this process wrote it; undefined for what was there before: then its metadata tells. */
  expected: ExpectedObject | undefined;
}

/** See the module's description. */
export class ArchivedPartition {
  readonly topic: string;
  readonly partition: number;
  /** Where gapless runs of objects begin: 0, and behind each loss. */
  readonly starts: bigint[] = [0n];
  /** Objects that were read back, as a manifest lists them, and where each ends; they come before all pending ones. */
  #good: { object: ManifestObject; range: Covering; behind: ChainPoint }[] = [];
  #pending: ArchivedObject[] = [];
  /** What was in the bucket at the start and is not part of the chain. */
  #unconnected: readonly ListedRange[];

  /** @param listed the partition's objects as the bucket lists them, in any order. */
  constructor(topic: string, partition: number, listed: readonly ListedRange[]) {
    this.topic = topic;
    this.partition = partition;
    const chain = longestChain(listed, 0n);
    this.#pending = chain.map(({ first, last, name }) => ({ first, last, name, expected: undefined }));
    const used = new Set(chain.map(({ name }) => name));
    this.#unconnected = listed.filter(({ name }) => !used.has(name));
  }

  /** The offset behind the last object. */
  get end(): bigint {
    const last = this.#pending.at(-1) ?? this.#good.at(-1)?.range;
    const start = this.starts.at(-1) ?? 0n;
    return last === undefined || last.last < start ? start : last.last + 1n;
  }

  /** Objects that were not read back yet. */
  get pending(): number {
    return this.#pending.length;
  }

  /** Objects of the chain, read back or not. */
  get objects(): number {
    return this.#good.length + this.#pending.length;
  }

  /** How many objects in the bucket could not be made part of the chain at the start. */
  get unconnected(): number {
    return this.#unconnected.length;
  }

  /** The last object, as long as it was not read back. */
  get lastPending(): ArchivedObject | undefined {
    return this.#pending.at(-1);
  }

  /** The next object to be read back. */
  get nextPending(): ArchivedObject | undefined {
    return this.#pending[0];
  }

  /** The chain behind all that was read back. */
  get verified(): Readonly<ChainPoint> {
    return this.#good.at(-1)?.behind ?? chainStart;
  }

  /** An object was stored behind all others. */
  append(object: ArchivedObject): void {
    this.#pending.push(object);
  }

  /** The next pending object was read back and is right. */
  confirm(object: ArchivedObject, content: ObjectContent, stored: { bytes: number; etag: string }): void {
    this.#pending.shift();
    const { first, last, name } = object;
    const { records, recordsSha256 } = content;
    this.#good.push({
      object: { name, ...stored, ...content },
      range: { first, last },
      behind: { records: this.verified.records + records, sha256: recordsSha256 },
    });
  }

  /** Forgets the last object before anything is read back: its metadata is of no use. */
  dropLast(): void {
    this.#pending.pop();
  }

  /** Forgets everything from an offset on: it is exported again. @returns the chain in front of it. */
  cut(from: bigint): Readonly<ChainPoint> {
    this.#pending = this.#pending.filter(({ first }) => first < from);
    this.#good = this.#good.filter(({ range }) => range.first < from);
    while (this.starts.length > 1 && (this.starts.at(-1) as bigint) > from) this.starts.pop();
    return this.verified;
  }

  /**
   * Records from the end of the chain up to `low` are gone from Kafka.
   * @returns where the archive goes on: at an object that an earlier run stored behind the gap, or at `low`.
   */
  skipTo(low: bigint): bigint {
    const { end } = this;
    const beyond = this.#unconnected.filter(({ first }) => first > end && first <= low);
    const start = beyond.reduce((least, { first }) => (first < least ? first : least), low);
    this.starts.push(start);
    const chain = new Set(longestChain(this.#unconnected, start));
    this.#unconnected = this.#unconnected.filter((object) => !chain.has(object));
    for (const { first, last, name } of chain) this.#pending.push({ first, last, name, expected: undefined });
    return start;
  }

  /** Everything that was read back, as a manifest lists it. */
  get readBack(): readonly ManifestObject[] {
    return this.#good.map(({ object }) => object);
  }
}
