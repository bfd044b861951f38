/** The whole path. */
import type { Latency } from "./worker-options.ts";
import type { BenchWorld } from "./world.ts";

/** One stage's latencies. */
export interface StageLatency extends Latency {
  name: string;
  /** Whether the whole path's targets are meant for it. */
  targets: boolean;
}

export interface PathResult {
  rate: number;
  /** Raw events a second that were written. */
  sustained: number;
  stages: StageLatency[];
  services: { name: string; cpu: number; rssMiB: number }[];
  /** By status. */
  results: Record<string, number>;
  venue: Latency;
  /** In words: how far behind, and for how long. */
  lag: string;
}

export interface PathArguments {
  rate: number;
  seconds: number;
  profile: string | undefined;
  onProgress: (line: string) => void;
}

export async function measurePath(_world: BenchWorld, _args: PathArguments): Promise<PathResult> {
  throw new Error("not yet");
}
