/**
 * Shows whether a token of Hetzner Cloud may write, which no answer to a question tells: it makes a placement group
 * and removes it. That costs nothing, lets nobody in anywhere (as an SSH key would), and a cluster needs one itself.
 */
import { randomUUID } from "node:crypto";
import { z } from "zod";
import { HetznerClient, type HetznerClientArguments } from "../hetzner/client.ts";

/** How it came out. */
export type WriteProof =
  | { kind: "may write" }
  | { kind: "may not write"; reason: string }
  /** It may, but the project has as many placement groups as it can. */
  | { kind: "full"; reason: string }
  | { kind: "unknown"; reason: string };

/** By this label what a killed check left is found by the next one. */
export const probeLabels = { purpose: "trading-init-check" } as const;

const patience = { requestTimeoutMs: 10_000, retryDeadlineMs: 15_000 };
const errorBody = z.object({ error: z.object({ code: z.string(), message: z.string() }) });

/** See the module's description. Never throws for what the API does. @throws the signal's reason */
export async function proveWriting(
  project: Required<Pick<HetznerClientArguments, "endpoint" | "token">>,
  signal: AbortSignal,
): Promise<WriteProof> {
  const proof = await makeGroup(project, signal);
  // Also what was made when only the answer got lost, and also after Ctrl-C.
  const client = new HetznerClient({ ...project, patience });
  try {
    const labelSelector = `purpose=${probeLabels.purpose}`;
    for (const { id } of await client.list("placement_groups", { labelSelector }))
      await client.remove("placement_groups", id);
  } catch (error) {
    if (proof.kind !== "may write") return proof;
    const [reason] = (error as Error).message.split("\n", 1);
    return {
      kind: "unknown",
      reason: `a placement group was made and could not be removed: ${reason}. Remove what is called trading-init-… in the console, or run this again.`,
    };
  }
  signal.throwIfAborted();
  return proof;
}

async function makeGroup(
  { endpoint, token }: Required<Pick<HetznerClientArguments, "endpoint" | "token">>,
  signal: AbortSignal,
): Promise<WriteProof> {
  let response: Response;
  let text: string;
  try {
    response = await fetch(`${endpoint.replace(/\/+$/, "")}/placement_groups`, {
      method: "POST",
      redirect: "error",
      headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
      body: JSON.stringify({ name: `trading-init-${randomUUID()}`, type: "spread", labels: probeLabels }),
      signal: AbortSignal.any([signal, AbortSignal.timeout(patience.requestTimeoutMs)]),
    });
    text = await response.text();
  } catch (error) {
    const { cause, message } = error as Error;
    return { kind: "unknown", reason: cause instanceof Error ? cause.message : message };
  }
  if (response.ok) return { kind: "may write" };
  const error = errorBody.safeParse(parse(text)).data?.error;
  const reason = error === undefined ? `HTTP ${response.status}` : `${error.code}: ${error.message}`;
  if (error?.code === "resource_limit_exceeded") return { kind: "full", reason };
  return response.status === 401 || response.status === 403
    ? { kind: "may not write", reason }
    : { kind: "unknown", reason };
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
