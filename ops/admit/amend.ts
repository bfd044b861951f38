/**
 * Changes a firewall's rules while others may be doing the same. The API only replaces all rules at once and knows no
 * versions, so whoever writes may undo what was written since he read. Therefore nobody writes what he read more than a moment
 * ago, and everybody looks again when every such write must have arrived, and repairs what is lost. (Not covered: a
 * request that the API carries out seconds after it was sent.)
 */
import { setTimeout as sleep } from "node:timers/promises";
import { type HetznerClient, passesByItself } from "../hetzner/client.ts";
import { HetznerActionError, HetznerApiError } from "../hetzner/errors.ts";
import type { FirewallRule, NewFirewallRule } from "../hetzner/resources.ts";

/** All in ms. */
export interface AmendPatience {
  /** Rules are written back at most so long after they were asked for. Default: 1,000. */
  staleMs: number;
  /** A change counts once it still holds after so long; longer than `staleMs` and a request. Default: 3,000. */
  settleMs: number;
  /** Before another attempt after a write that the API refused. Default: 500. */
  retryMs: number;
  /** Until it is given up. Default: 90,000. */
  deadlineMs: number;
}

const defaultPatience: AmendPatience = {
  staleMs: 1_000,
  settleMs: 3_000,
  retryMs: 500,
  deadlineMs: 90_000,
};

/** The rules could not be changed; what the firewall lets in is not known to be what was wanted. */
export class FirewallChangeError extends Error {
  override readonly name = "FirewallChangeError";
}

export interface AmendOptions {
  patience?: Partial<AmendPatience> | undefined;
  signal?: AbortSignal | undefined;
}

/**
 * Changes rules until the change holds.
 * @param change what the rules should be; it returns the very same rule objects where nothing is to be done
 * @returns whether there is such a firewall
 * @throws FirewallChangeError at the deadline; HetznerApiError when the API refuses for good; what `change` throws
 */
export async function amendRules(
  client: HetznerClient,
  firewallId: number,
  change: (rules: readonly FirewallRule[]) => readonly NewFirewallRule[],
  { patience, signal }: AmendOptions = {},
): Promise<boolean> {
  const { staleMs, settleMs, retryMs, deadlineMs } = { ...defaultPatience, ...patience };
  const until = performance.now() + deadlineMs;
  let written = false;
  let settled = false;
  let problem = "others keep changing them";
  const pause = async (ms: number) => sleep(ms, undefined, { signal }).catch(() => signal?.throwIfAborted());
  while (performance.now() < until) {
    const readAt = performance.now();
    const firewall = await client.get("firewalls", firewallId);
    if (firewall === undefined) return false;
    const { rules } = firewall;
    const wanted = change(rules);
    if (wanted.length === rules.length && wanted.every((rule, index) => rule === rules[index])) {
      if (!written || settled) return true;
      settled = true;
      await pause(settleMs);
      continue;
    }
    settled = false;
    if (performance.now() - readAt > staleMs) {
      problem = `the API takes longer than ${staleMs} ms to show them`;
      continue;
    }
    try {
      written = true;
      await client.setFirewallRules(firewallId, wanted, { retry: false });
    } catch (error) {
      const passes =
        error instanceof HetznerActionError || (error instanceof HetznerApiError && passesByItself(error));
      if (!passes) throw error;
      problem = error.message;
      await pause(retryMs);
    }
  }
  throw new FirewallChangeError(
    `The rules of firewall ${firewallId} could not be changed within ${Math.round(deadlineMs / 1_000)} s: ${problem}. ` +
      "trading admit --list shows what is open; trading admit --close --all closes it.",
  );
}
