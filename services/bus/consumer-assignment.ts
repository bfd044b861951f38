/**
 * Which partitions of a consumer group are ours, and since when without a break. kafkajs tells the outcome of a
 * rebalance only; whoever had the partition in between shows by a changed member id or by a second join.
 */

/** The time during which a partition is ours without a break. */
export class Ownership {
  readonly topic: string;
  readonly partition: number;
  /** Unique in this process. */
  readonly name: string;
  /** False as soon as the partition is known not to be ours any more: nothing of it is committed then. */
  active = true;
  /** Whether records may be handed over. */
  isReady = false;
  /** Resolves when records may be handed over, or when that will never be. */
  ready: Promise<void> = Promise.resolve();
  /** Offset of the record that must come next; undefined while any may. */
  position: bigint | undefined;
  #signs = 0;
  #waiters: { signs: number; resolve: (confirmed: boolean) => void }[] = [];

  constructor(topic: string, partition: number, serial: number) {
    this.topic = topic;
    this.partition = partition;
    this.name = `${topic} ${partition} ${serial}`;
  }

  /** The coordinator has confirmed the membership. */
  confirmed(): void {
    this.#signs += 1;
    this.#settle();
  }

  /** The partition is not ours any more. */
  end(): void {
    this.active = false;
    this.#settle();
  }

  /**
   * Resolves with true when the coordinator has confirmed the membership after this call, with false when the
   * ownership ends before.
   */
  stillOurs(): Promise<boolean> {
    if (!this.active) return Promise.resolve(false);
    // The next sign may be the answer to a question asked before the call; the one after it is not.
    return new Promise((resolve) => this.#waiters.push({ signs: this.#signs + 2, resolve }));
  }

  #settle(): void {
    this.#waiters = this.#waiters.filter(({ signs, resolve }) => {
      if (this.active && this.#signs < signs) return true;
      resolve(this.active);
      return false;
    });
  }
}

/** What a join changed. */
export interface Changes {
  revoked: Ownership[];
  assigned: Ownership[];
}

/** See the module's description. */
export class Assignments {
  readonly #owned = new Map<string, Ownership>();
  #memberId: string | undefined;
  #joins = 0;
  #serial = 0;

  /** All partitions that are ours. */
  get all(): Ownership[] {
    return [...this.#owned.values()];
  }

  /** The ownership of a partition, when it is ours. */
  of(topic: string, partition: number): Ownership | undefined {
    return this.#owned.get(`${topic} ${partition}`);
  }

  /** A join is attempted: it may succeed without our learning of it, and the partitions are others' for a while. */
  joining(): void {
    this.#joins += 1;
  }

  /** The group has been joined. @param assignment partitions by topic. */
  joined(memberId: string, assignment: Readonly<Record<string, readonly number[]>>): Changes {
    const unbroken = memberId === this.#memberId && this.#joins <= 1;
    this.#memberId = memberId;
    this.#joins = 0;
    const wanted = new Map<string, { topic: string; partition: number }>(
      Object.entries(assignment).flatMap(([topic, partitions]) =>
        partitions.map((partition) => [`${topic} ${partition}`, { topic, partition }] as const),
      ),
    );
    const revoked = this.all.filter((owned) => !unbroken || !wanted.has(keyOf(owned)));
    for (const owned of revoked) this.#end(owned);
    const assigned: Ownership[] = [];
    for (const [key, { topic, partition }] of wanted) {
      if (!this.#owned.has(key)) assigned.push(this.#begin(topic, partition));
    }
    // Where in the log the group reads on is not where this member was.
    for (const owned of this.#owned.values()) owned.position = undefined;
    return { revoked, assigned };
  }

  /** Ends an ownership and begins a new one of the same partition. */
  replace(owned: Ownership): Ownership {
    this.#end(owned);
    return this.#begin(owned.topic, owned.partition);
  }

  /** Nothing is ours any more. */
  clear(): Ownership[] {
    const revoked = this.all;
    for (const owned of revoked) this.#end(owned);
    return revoked;
  }

  #begin(topic: string, partition: number): Ownership {
    this.#serial += 1;
    const owned = new Ownership(topic, partition, this.#serial);
    this.#owned.set(keyOf(owned), owned);
    return owned;
  }

  #end(owned: Ownership): void {
    owned.end();
    if (this.#owned.get(keyOf(owned)) === owned) this.#owned.delete(keyOf(owned));
  }
}

function keyOf({ topic, partition }: Ownership): string {
  return `${topic} ${partition}`;
}
