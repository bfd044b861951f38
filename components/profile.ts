/**
 * The two shapes of a trading cluster. `cluster` is seed 000's: one control plane and three brokers.
 * `single-node` is seed 001's first phase: the same program with everything on one server.
 */
export const profiles = ["cluster", "single-node"] as const;

export type Profile = (typeof profiles)[number];
