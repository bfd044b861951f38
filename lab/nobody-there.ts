import type { LabEndpoints } from "./day/stack-config.ts";

/** The parts of a lab that infrastructure alone never reaches: addresses at which nobody listens. */
export const nobodyThere: Pick<LabEndpoints, "kafka" | "alpaca" | "near"> = {
  kafka: { brokers: ["127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"] },
  alpaca: {
    stream: "ws://127.0.0.1:1/stream",
    updates: "ws://127.0.0.1:1/updates",
    rest: "http://127.0.0.1:1",
    keyId: "made-up-key",
    secret: "made-up-secret",
    symbols: ["AAPL"],
    requestsPerMinute: 200,
  },
  near: {
    ws: "ws://127.0.0.1:1/ws",
    rpc: "http://127.0.0.1:1/rpc",
    token: "made-up-token",
    salt: "252812b3",
    signerId: "made-up.near",
    // A throwaway key that belongs to nobody: 64 bytes of zeros in base58.
    privateKey: `ed25519:${"1".repeat(64)}`,
  },
};
