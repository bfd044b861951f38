/** Looks at the Hetzner Cloud project that a stack is to be in. */
import { serversOf } from "../../components/capacity.ts";
import { profileOf, valuesSchema, withProfileDefaults } from "../../stacks/config-schema.ts";
import { HetznerClient } from "../hetzner/client.ts";
import { HetznerApiError } from "../hetzner/errors.ts";
import { hetznerEndpoint } from "../hetzner/settings.ts";
import { planCapacity } from "../plan/plan.ts";
import type { CheckContext } from "./check.ts";
import type { Draft } from "./draft.ts";
import { type Finding, findingsOf } from "./finding.ts";
import { proveWriting } from "./write-probe.ts";

const finding = findingsOf("hetzner");
const tokenKey = ["hcloudToken"];

/** As few as this a new account may have, users report; Hetzner publishes no number. */
const serversOfNewAccount = 5;

/** What carries the stack's name alone, and is unique by its name in a project. */
const namedAsStack = ["networks", "firewalls", "ssh_keys", "placement_groups"] as const;

/** The address of the API, as the other commands take it. */
export function endpointOf(draft: Draft, environment: Readonly<Record<string, string | undefined>>): string {
  const given = environment["HCLOUD_ENDPOINT"] ?? "";
  return given === "" ? (draft.text(["hcloudEndpoint"]) ?? hetznerEndpoint) : given;
}

/** See the module's description. @throws the signal's reason */
export async function checkHetzner(context: CheckContext): Promise<Finding[]> {
  const { draft, environment, signal, probe, progress } = context;
  const project = { endpoint: endpointOf(draft, environment), token: draft.secret("hcloudToken") };
  const client = new HetznerClient({
    ...project,
    signal,
    report: progress,
    patience: { requestTimeoutMs: 10_000, retryDeadlineMs: 3_000 },
  });
  try {
    const servers = await client.list("servers");
    const findings = [
      finding(
        "ok",
        `The token opens a project at ${project.endpoint}; it has ${count(servers.length, "server")}.`,
      ),
    ];
    if (probe) {
      progress(
        "Making a placement group in the Hetzner project and removing it again: shows whether the token may write",
      );
      findings.push(await writing(project, signal));
    } else {
      findings.push(finding("note", "Whether the token may write was not tried (--no-probe)."));
    }
    findings.push(...(await inTheWay(client, draft.stack, servers)));
    findings.push(limit(draft, servers));
    findings.push(await capacity(client, draft));
    return findings;
  } catch (error) {
    if (!(error instanceof HetznerApiError)) throw error;
    return [refusal(error)];
  }
}

function count(number: number, what: string): string {
  return number === 1 ? `1 ${what}` : `${number} ${what}s`;
}

function refusal({ status, code, message }: HetznerApiError): Finding {
  const [line = ""] = message.split("\n", 1);
  if (status === 401 || status === 403)
    return finding(
      "refused",
      `Hetzner refuses the token (${code}). It must be one of this project, not deleted, and copied whole: 64 characters.`,
      tokenKey,
    );
  return finding(
    "unreachable",
    `${line}. Check the network, HCLOUD_ENDPOINT and trading:hcloudEndpoint.`,
    tokenKey,
  );
}

async function writing(project: { endpoint: string; token: string }, signal: AbortSignal): Promise<Finding> {
  const proof = await proveWriting(project, signal);
  switch (proof.kind) {
    case "may write":
      return finding("ok", "It may write: a placement group was made and removed again.");
    case "full":
      return finding(
        "warning",
        `It may write, but the project can take no placement group, which each cluster needs (${proof.reason}). Remove some.`,
      );
    case "may not write":
      return finding(
        "refused",
        `It may only read (${proof.reason}). Generate one with the permission Read & Write; a token cannot be changed.`,
        tokenKey,
      );
    case "unknown":
      return finding("unreachable", `Whether it may write is not known: ${proof.reason}`, tokenKey);
  }
}

/** Names are unique in a project: what has one of the stack's and is not the stack's keeps it from coming up. */
async function inTheWay(
  client: HetznerClient,
  stack: string,
  servers: readonly { name: string; labels: Readonly<Record<string, string>> }[],
): Promise<Finding[]> {
  const isOurs = ({ labels }: { labels: Readonly<Record<string, string>> }) =>
    labels["project"] === "trading" && labels["stack"] === stack;
  const serverName = new RegExp(`^${stack}-(k3s-control|kafka-[0-2])$`);
  const strange = servers
    .filter((server) => serverName.test(server.name) && !isOurs(server))
    .map(({ name }) => `server ${name}`);
  for (const kind of namedAsStack) {
    const found = await client.list(kind, { name: stack });
    strange.push(
      ...found
        .filter((resource) => resource.name === stack && !isOurs(resource))
        .map(({ name }) => `${kind.replace(/s$/, "").replaceAll("_", " ")} ${name}`),
    );
  }
  const findings: Finding[] = [];
  if (strange.length > 0)
    findings.push(
      finding(
        "warning",
        `Names that the stack needs are taken by what is not its own: ${strange.join(", ")}. Rename or remove them, or take a project of its own.`,
      ),
    );
  const own = servers.filter(isOurs);
  if (own.length > 0)
    findings.push(
      finding(
        "note",
        `The stack has ${count(own.length, "server")} now (cluster ${[...new Set(own.map(({ labels }) => labels["cluster-id"] ?? "unknown"))].join(", ")}). Servers keep what they were made with; close the day first if its keys are to change.`,
      ),
    );
  const others = servers.map(({ labels }) => (labels["project"] === "trading" ? labels["stack"] : undefined));
  const stacks = [...new Set(others.filter((other) => other !== undefined && other !== stack))];
  if (stacks.length > 0)
    findings.push(
      finding(
        "note",
        `The project also has servers of the stack ${stacks.join(", ")}; a project each keeps their tokens apart.`,
      ),
    );
  return findings;
}

/** No part of the API shows the account's limit, and it ends an `up` in its middle. */
function limit(draft: Draft, servers: readonly { labels: Readonly<Record<string, string>> }[]): Finding {
  const { brokers, controlPlanes } = serversOf[profileOf({ profile: draft.get(["profile"]) })];
  const wanted = brokers + controlPlanes;
  const others = servers.filter(
    ({ labels }) => !(labels["project"] === "trading" && labels["stack"] === draft.stack),
  ).length;
  const total = `The stack needs ${count(wanted, "server")}${others === 0 ? "" : ` beside ${others} that this project has`}.`;
  const where =
    "No API shows the account's limit: look at Limits in the console (top right), and ask there for more.";
  return others + wanted > serversOfNewAccount
    ? finding(
        "warning",
        `${total} A new account may have no more than ${serversOfNewAccount} in all. ${where}`,
      )
    : finding("note", `${total} ${where}`);
}

async function capacity(client: HetznerClient, draft: Draft): Promise<Finding> {
  const wishes = valuesSchema.pick({
    profile: true,
    locations: true,
    brokerServerTypes: true,
    controlPlaneServerTypes: true,
    excludedCapacity: true,
    openHours: true,
  });
  const names = Object.keys(wishes.shape) as (keyof typeof wishes.shape)[];
  const given = Object.fromEntries(
    names.map((name) => [name, draft.get([name])] as const).filter(([, value]) => value !== undefined),
  );
  const completed = withProfileDefaults(given);
  const values = wishes.safeParse(Object.fromEntries(names.map((name) => [name, completed[name]])));
  // What is wrong with them is said of the whole configuration.
  if (!values.success)
    return finding("note", "Capacity was not looked at: the stack's wishes are not valid.");
  const { choices, currency, openHours } = await planCapacity(client, draft.stack, values.data);
  const [first] = choices;
  if (first === undefined)
    return finding(
      "warning",
      `No location has these servers now: \`trading plan --stack ${draft.stack}\` says why. Add to trading:locations or the lists of server types, or try later.`,
    );
  const price =
    first.pricePerHour === undefined
      ? ""
      : `: ${first.pricePerHour} ${currency} net per started hour, ${first.priceOpenHours} for ${openHours} hours`;
  return finding(
    "ok",
    `${first.name} is to be had now${price}; ${count(choices.length - 1, "further choice")}.`,
  );
}
