/** Looks at the networks that are let in. Nobody is asked. */
import type { CheckContext } from "./check.ts";
import { type Finding, findingsOf } from "./finding.ts";
import { isForDocumentation } from "./questions.ts";
import { coverTheInternet, parseCidr } from "../../stacks/cidr.ts";

const finding = findingsOf("access");

/** Networks of which no packet reaches a server on the internet: RFC 1918, RFC 6598, RFC 3927, RFC 4193, loopback. */
const inside = [
  "10.0.0.0/8",
  "100.64.0.0/10",
  "127.0.0.0/8",
  "169.254.0.0/16",
  "172.16.0.0/12",
  "192.168.0.0/16",
  "fc00::/7",
  "::1/128",
].map((text) => parseCidr(text));

function isInside(network: string): boolean {
  const parsed = parseCidr(network);
  return inside.some(
    (range) =>
      range !== undefined &&
      parsed !== undefined &&
      range.family === parsed.family &&
      range.first <= parsed.first &&
      parsed.last <= range.last,
  );
}

/** See the module's description. */
export async function checkAccess({ draft }: CheckContext): Promise<Finding[]> {
  const value = draft.get(["adminCidrs"]);
  const networks = Array.isArray(value) ? value.map(String) : [];
  const findings = [
    finding(
      "ok",
      `SSH and the Kubernetes API let in ${networks.join(", ")}; nothing else is open to the internet.`,
    ),
  ];
  const vain = networks.filter((network) => isInside(network) || isForDocumentation(network));
  if (vain.length > 0)
    findings.push(
      finding(
        "warning",
        `Nobody comes from ${vain.join(", ")}: the servers see the public address of your network, not the one inside it.`,
      ),
    );
  const parsed = networks.map((network) => parseCidr(network)).filter((network) => network !== undefined);
  if (coverTheInternet(parsed))
    findings.push(finding("warning", "With trading:allowPublicAdmin, that is nearly everybody."));
  return findings;
}
