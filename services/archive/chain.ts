/**
 * Which objects of a partition make up its archive. Each covers a range of offsets; together they must cover without
 * a gap. A restarted or replaced archiver may have cut the same records differently, so ranges may overlap; what
 * is not part of the chain is left alone and counts for nothing.
 */

/** An object's range of offsets, both inclusive. */
export interface Covering {
  first: bigint;
  last: bigint;
}

/**
 * The gapless chain that begins at `start` and reaches furthest.
 * @param objects in any order.
 * @param start the first offset to be covered; default: the lowest offset of any object.
 * @returns the chain in order of offsets; empty when nothing begins at `start`.
 */
export function longestChain<T extends Covering>(objects: readonly T[], start?: bigint): T[] {
  /** Best continuation from an offset: the object that leads furthest, and how far. */
  const best = new Map<bigint, { object: T; reach: bigint }>();
  // From the back, so that what follows an object is known when the object is looked at.
  const ordered = [...objects].sort((a, b) => (a.first < b.first ? 1 : a.first > b.first ? -1 : 0));
  for (const object of ordered) {
    const reach = best.get(object.last + 1n)?.reach ?? object.last;
    const known = best.get(object.first);
    if (known === undefined || reach > known.reach) best.set(object.first, { object, reach });
  }
  const chain: T[] = [];
  let at = start ?? ordered.at(-1)?.first;
  for (let next = at === undefined ? undefined : best.get(at); next !== undefined; next = best.get(at)) {
    chain.push(next.object);
    at = next.object.last + 1n;
  }
  return chain;
}
