/** Opens and closes admissions on a stack's own firewall. Whoever changes anything also removes what is over. */
import type { HetznerClient } from "../hetzner/client.ts";
import type { FirewallRule, NewFirewallRule, Resource } from "../hetzner/resources.ts";
import { stackSelector } from "../hetzner/settings.ts";
import { type Admission, admissionOf, admissionsIn, rulesOf } from "./admission.ts";
import { type AmendOptions, amendRules } from "./amend.ts";

/** A firewall holds so many: https://docs.hetzner.com/cloud/firewalls/overview#limits */
const mostRules = 50;

/** The stack has no firewall: there is nothing to be admitted to. */
export class NoFirewallError extends Error {
  override readonly name = "NoFirewallError";

  constructor(stack: string) {
    super(
      `Stack ${stack} has no firewall, so its cluster is not up. Check --stack, and that HCLOUD_TOKEN belongs to its project.`,
    );
  }
}

/** There are more admissions than a firewall can hold. */
export class TooManyAdmissionsError extends Error {
  override readonly name = "TooManyAdmissionsError";

  constructor(rules: readonly FirewallRule[]) {
    const open = admissionsIn(rules).length;
    super(
      `The firewall can hold ${mostRules} rules and has ${rules.length}, those of ${open} admissions among them. ` +
        "Wait until one is over, or close what nobody needs: trading admit --list, trading admit --close --all.",
    );
  }
}

/** The stack's firewall; undefined when there is none. @throws HetznerApiError */
export async function findFirewall(
  client: HetznerClient,
  stack: string,
): Promise<Resource<"firewalls"> | undefined> {
  const labelSelector = `${stackSelector(stack)},role=firewall`;
  const [firewall] = await client.list("firewalls", { labelSelector, name: stack });
  return firewall;
}

function withoutExpired(rules: readonly FirewallRule[], now: Date): readonly FirewallRule[] {
  return rules.filter((rule) => {
    const admission = admissionOf(rule);
    return admission === undefined || admission.until * 1_000 > now.getTime();
  });
}

/**
 * Lets an address in, or makes sure that it still is in.
 * @param ports those of SSH and of the Kubernetes API
 * @throws NoFirewallError; TooManyAdmissionsError; FirewallChangeError; HetznerApiError
 */
export async function openAdmission(
  client: HetznerClient,
  stack: string,
  admission: Admission,
  ports: readonly number[],
  options: AmendOptions = {},
): Promise<void> {
  const firewall = await findFirewall(client, stack);
  if (firewall === undefined) throw new NoFirewallError(stack);
  const change = (rules: readonly FirewallRule[]): readonly NewFirewallRule[] => {
    const now = new Date();
    const kept = withoutExpired(rules, now);
    const wanted = admission.until * 1_000 > now.getTime() ? rulesOf(admission, ports) : [];
    const missing = wanted.filter(
      ({ port }) => !kept.some((rule) => admissionOf(rule)?.id === admission.id && rule.port === port),
    );
    if (kept.length + missing.length > mostRules) throw new TooManyAdmissionsError(kept);
    return [...kept, ...missing];
  };
  if (!(await amendRules(client, firewall.id, change, options))) throw new NoFirewallError(stack);
}

/**
 * Closes admissions, and what is over with them. Without a firewall nothing is open.
 * @param which those to close
 * @returns those that were open
 * @throws FirewallChangeError; HetznerApiError
 */
export async function closeAdmissions(
  client: HetznerClient,
  stack: string,
  which: (admission: Admission) => boolean,
  options: AmendOptions & { now?: Date } = {},
): Promise<Admission[]> {
  const firewall = await findFirewall(client, stack);
  if (firewall === undefined) return [];
  const closed = new Map<string, Admission>();
  await amendRules(
    client,
    firewall.id,
    (rules) =>
      withoutExpired(rules, options.now ?? new Date()).filter((rule) => {
        const admission = admissionOf(rule);
        if (admission === undefined || !which(admission)) return true;
        closed.set(admission.id, admission);
        return false;
      }),
    options,
  );
  return [...closed.values()];
}

/**
 * Removes what is over: every command that opens or closes a cluster calls it, since the API itself ends no rule.
 * @param now the present moment
 * @returns those that were removed
 * @throws FirewallChangeError; HetznerApiError
 */
export async function removeExpiredAdmissions(
  client: HetznerClient,
  stack: string,
  now: Date,
  options: AmendOptions = {},
): Promise<Admission[]> {
  const isOver = (admission: Admission): boolean => admission.until * 1_000 <= now.getTime();
  const over = admissionsIn((await findFirewall(client, stack))?.rules ?? []).filter(isOver);
  if (over.length > 0) await closeAdmissions(client, stack, isOver, { ...options, now });
  return over;
}
