/** Hetzner ends no firewall rule by itself, so whoever opens or closes a cluster shuts out those whose time is over. */
import { removeExpiredAdmissions } from "../admit/admissions.ts";
import type { AmendPatience } from "../admit/amend.ts";
import type { ClusterParts } from "./parts.ts";

/**
 * Removes admissions that are over. What cannot be removed is told and holds up nothing.
 * @throws the signal's reason alone
 */
export async function endAdmissions(
  {
    client,
    stack,
    signal,
    reporter,
    now,
  }: Pick<ClusterParts, "client" | "stack" | "signal" | "reporter" | "now">,
  patience?: Partial<AmendPatience>,
): Promise<void> {
  try {
    const over = await removeExpiredAdmissions(client, stack, now(), { signal, patience });
    for (const { address, name } of over) reporter.note(`${address} (${name}) is admitted no longer`);
  } catch (error) {
    signal.throwIfAborted();
    reporter.note(`warning: admissions that are over could not be ended: ${(error as Error).message}`);
  }
}
