/**
 * Compares what came out of a replay with what a day's services had written to one topic: the same events by id,
 * each with the same bytes, in the same order within each line (see replay-record.ts).
 *
 * Both sides are taken in as they are read, side by side; only what has no counterpart yet is kept, so memory is as
 * large as the two are apart. Services deliver at least once, so an event may stand there twice: repetitions with
 * the same bytes are counted and are no difference.
 */
import { digestOf, type Identity, type OutputRecord, textOf } from "./replay-record.ts";

/** The day, or its replay. */
export type Side = "archived" | "replayed";
const otherSide: Readonly<Record<Side, Side>> = { archived: "replayed", replayed: "archived" };

/** Where a record stands. */
export interface Place {
  partition: number;
  /** Decimal. */
  offset: string;
}

/** One difference. Places are those of the side they are named after. */
export type Difference =
  /** The day has it, the replay has not; or the other way round. */
  | { kind: "missing" | "additional"; id: string; key: string; at: Place }
  /** Same id, but not the same bytes (key, value, headers) or partition. */
  | { kind: "different"; id: string; key: string; archived: Place; replayed: Place }
  /** The first event of a line that is on the other side of `other` than in the day. */
  | { kind: "order"; id: string; key: string; other: string; archived: Place; replayed: Place }
  /** One side has the id twice, with different bytes. */
  | { kind: "repeated"; side: Side; id: string; key: string; first: Place | undefined; again: Place };

/** Numbers of events. */
export interface ComparisonCounts {
  /** Records read. */
  archived: number;
  replayed: number;
  /** Pairs with the same bytes. */
  same: number;
  /** Pairs with other bytes, and repetitions with other bytes. */
  different: number;
  missing: number;
  additional: number;
  /** Pairs that stand before an event of their line on one side and behind it on the other. */
  outOfOrder: number;
  /** Repetitions with the same bytes: no difference. */
  repeatedInArchive: number;
  repeatedInReplay: number;
}

interface Pending {
  id: string;
  key: string;
  line: string | undefined;
  digest: string;
  at: Place;
  /** Position in the line on its side. */
  ordinal: number;
  /** Set by the second reading when it comes to this place. */
  isReached: boolean;
}

interface Line {
  /** How many each side has had. */
  seen: Record<Side, number>;
  /** Furthest positions that have met, and who it was. */
  met: Record<Side, number>;
  last: string;
  isListed: boolean;
}

/** Arguments of {@link TopicComparison}. */
export interface ComparisonOptions {
  /** Tells who a record is; undefined: it is not compared. */
  identify: (record: OutputRecord) => Identity | undefined;
  /** Differences of each kind that are kept to be listed; all are counted. */
  limit: number;
  /**
   * How many events are remembered after they have met, at least. Default 50,000: far more than a service repeats after
   * a restart. A repetition that comes later needs a second reading, and may show as a wrong order if both sides have it.
   */
  remembered?: number;
}

/** See the module's description. */
export class TopicComparison {
  readonly counts: ComparisonCounts = {
    archived: 0,
    replayed: 0,
    same: 0,
    different: 0,
    missing: 0,
    additional: 0,
    outOfOrder: 0,
    repeatedInArchive: 0,
    repeatedInReplay: 0,
  };
  readonly #identify: (record: OutputRecord) => Identity | undefined;
  readonly #limit: number;
  readonly #listed = new Map<Difference["kind"], Difference[]>();
  readonly #pending: Record<Side, Map<string, Pending>> = { archived: new Map(), replayed: new Map() };
  readonly #lines = new Map<string, Line>();
  readonly #met: Record<Side, RecentIds>;

  constructor({ identify, limit, remembered = 50_000 }: ComparisonOptions) {
    this.#identify = identify;
    this.#limit = limit;
    this.#met = { archived: new RecentIds(remembered), replayed: new RecentIds(remembered) };
  }

  /**
   * Takes the next record of a side; those of a partition in order, partitions one after the other.
   * @returns false for a record that is not compared.
   */
  take(side: Side, record: OutputRecord): boolean {
    const identity = this.#identify(record);
    if (identity !== undefined) this.#take(side, record, identity);
    return identity !== undefined;
  }

  #take(side: Side, record: OutputRecord, { id, line }: Identity): void {
    this.counts[side]++;
    const digest = digestOf(record);
    const at = { partition: record.partition, offset: record.offset };
    const key = textOf(record.key);
    const known = this.#pending[side].get(id);
    const before = known?.digest ?? this.#met[side].get(id);
    if (before !== undefined) {
      this.#repeated(side, { id, key, at, digest }, before, known?.at);
      return;
    }
    const entry: Pending = {
      id,
      key,
      line,
      digest,
      at,
      ordinal: this.#ordinal(side, line),
      isReached: false,
    };
    const other = this.#pending[otherSide[side]].get(id);
    if (other === undefined) {
      this.#pending[side].set(id, entry);
      return;
    }
    this.#pending[otherSide[side]].delete(id);
    if (side === "archived") this.#meet(entry, other);
    else this.#meet(other, entry);
  }

  /** Whether a side has events that the other one lacks: its records must then be shown to {@link again}. */
  hasLeft(side: Side): boolean {
    return this.#pending[side].size > 0;
  }

  /**
   * Second reading of a side, in the same order, after everything was taken: what is left of it and stood in an earlier
   * place too has met its counterpart there long ago, so it is a repetition.
   */
  again(side: Side, record: OutputRecord): void {
    const identity = this.#identify(record);
    const left = identity && this.#pending[side].get(identity.id);
    if (left === undefined) return;
    const at = { partition: record.partition, offset: record.offset };
    // What follows is its own repetition, which was counted when it was taken.
    if (at.partition === left.at.partition && at.offset === left.at.offset) left.isReached = true;
    if (left.isReached) return;
    this.#pending[side].delete(left.id);
    this.#repeated(side, left, digestOf(record), at);
  }

  /** Everything was read: what is left has no counterpart. @returns the listed differences. */
  end(): Difference[] {
    for (const [side, kind] of [
      ["archived", "missing"],
      ["replayed", "additional"],
    ] as const) {
      for (const { id, key, at } of this.#pending[side].values()) {
        this.counts[kind]++;
        this.#list({ kind, id, key, at });
      }
      this.#pending[side].clear();
    }
    return [...this.#listed.values()].flat();
  }

  #ordinal(side: Side, name: string | undefined): number {
    if (name === undefined) return 0;
    let line = this.#lines.get(name);
    if (line === undefined) {
      line = {
        seen: { archived: 0, replayed: 0 },
        met: { archived: -1, replayed: -1 },
        last: "",
        isListed: false,
      };
      this.#lines.set(name, line);
    }
    return line.seen[side]++;
  }

  #meet(archived: Pending, replayed: Pending): void {
    const { id, key } = archived;
    this.#met.archived.set(id, archived.digest);
    this.#met.replayed.set(id, replayed.digest);
    const places = { archived: archived.at, replayed: replayed.at };
    if (archived.digest === replayed.digest && archived.at.partition === replayed.at.partition) {
      this.counts.same++;
    } else {
      this.counts.different++;
      this.#list({ kind: "different", id, key, ...places });
    }
    // With another key or strategy they are of different lines, and different bytes anyway.
    if (archived.line === undefined || archived.line !== replayed.line) return;
    const line = this.#lines.get(archived.line);
    if (line === undefined) return;
    if (archived.ordinal > line.met.archived && replayed.ordinal > line.met.replayed) {
      line.met = { archived: archived.ordinal, replayed: replayed.ordinal };
      line.last = id;
      return;
    }
    this.counts.outOfOrder++;
    if (line.isListed) return;
    line.isListed = true;
    this.#list({ kind: "order", id, key, other: line.last, ...places });
  }

  #repeated(
    side: Side,
    again: Pick<Pending, "id" | "key" | "at" | "digest">,
    before: string,
    first: Place | undefined,
  ): void {
    const { id, key, at, digest } = again;
    if (digest === before) {
      this.counts[side === "archived" ? "repeatedInArchive" : "repeatedInReplay"]++;
      return;
    }
    this.counts.different++;
    this.#list({ kind: "repeated", side, id, key, first, again: at });
  }

  #list(difference: Difference): void {
    const listed = this.#listed.get(difference.kind) ?? [];
    this.#listed.set(difference.kind, listed);
    if (listed.length < this.#limit) listed.push(difference);
  }
}

/** No event is missing, additional, different or elsewhere in its order. */
export function isSame({ different, missing, additional, outOfOrder }: ComparisonCounts): boolean {
  return different + missing + additional + outOfOrder === 0;
}

/** The hashes of the last events that met: at least `size` of them, at most twice as many. */
class RecentIds {
  readonly #size: number;
  #newer = new Map<string, string>();
  #older = new Map<string, string>();

  constructor(size: number) {
    this.#size = size;
  }

  get(id: string): string | undefined {
    return this.#newer.get(id) ?? this.#older.get(id);
  }

  set(id: string, digest: string): void {
    if (this.#newer.size >= this.#size) {
      this.#older = this.#newer;
      this.#newer = new Map();
    }
    this.#newer.set(id, digest);
  }
}
