/** Chance that can be repeated: checks take their seed from the environment variable SEED, 1 by default. */

/** The seed of this run, a whole number from 1 on. */
export const seed = Number(process.env.SEED ?? 1);

/** A whole number from 0 to below `limit`. */
export type Random = (limit: number) => number;

/** Lehmer's generator (Park and Miller, 1988). */
export function startRandom(from: number = seed): Random {
  let state = (from * 48_271) % 2_147_483_647 || 1;
  return (limit) => (state = (state * 48_271) % 2_147_483_647) % limit;
}
