/** What `trading init` asks for: only what the configuration cannot do without, and what no default can know. */
import { isIP } from "node:net";
import { parseCidr } from "../../stacks/cidr.ts";
import { defaultAddressService } from "../admit/address.ts";
import type { Draft } from "./draft.ts";
import type { Group } from "./finding.ts";

/** One value of the configuration. */
export interface Question {
  group: Group;
  /** Name of the key and the way inside its value: `["archive", "endpoint"]`. */
  path: readonly [string, ...string[]];
  secret?: boolean;
  /** Environment variable that can answer it. */
  variable: string;
  /** What it is, in a few words. */
  label: string;
  /** Shown before the question: where it comes from. */
  hint?: string;
  /** What an empty answer means at a terminal. Without a terminal nothing is proposed. */
  proposal?: (draft: Draft) => string | undefined;
  /** The stack can do without. */
  optional?: boolean;
  /** Whether the other values make it needed. Default: always. */
  applies?: (draft: Draft) => boolean;
  /** From what is typed to the value. Default: the text itself. */
  read?: (text: string) => unknown;
  /** Whether what stands there is an example that was never filled in. */
  isPlaceholder?: (value: unknown) => boolean;
}

/** `trading:archive.endpoint` */
export function fullKey({ path }: Pick<Question, "path">): string {
  return `trading:${path.join(".")}`;
}

/** Networks for documentation, which belong to nobody: RFC 5737 and RFC 3849. */
const documentation = ["192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32"].map((text) =>
  parseCidr(text),
);

/** Whether nobody can come from a network. */
export function isForDocumentation(network: string): boolean {
  const parsed = parseCidr(network);
  if (parsed === undefined) return false;
  return documentation.some(
    (range) =>
      range !== undefined &&
      range.family === parsed.family &&
      range.first <= parsed.first &&
      parsed.last <= range.last,
  );
}

/** Networks, separated by commas or blanks; an address alone is a network of one. */
function networks(text: string): string[] {
  return text
    .split(/[\s,]+/)
    .filter((part) => part !== "")
    .map((part) => (isIP(part) === 4 ? `${part}/32` : isIP(part) === 6 ? `${part}/128` : part));
}

const isGitops = (draft: Draft) => draft.text(["delivery"]) === "gitops";

/** All questions, in the order in which they are asked. */
export const questions: readonly Question[] = [
  {
    group: "hetzner",
    path: ["hcloudToken"],
    secret: true,
    variable: "HCLOUD_TOKEN",
    label: "API token of the Hetzner Cloud project",
    hint:
      "https://console.hetzner.com: a project for this stack alone, then Security, API tokens, Generate API token, Read & Write.\n" +
      "No SSH key is needed: each cluster makes its own, and its private half stays in Pulumi's encrypted state.",
  },
  {
    group: "access",
    path: ["adminCidrs"],
    variable: "TRADING_ADMIN_CIDRS",
    label: "Networks that may reach SSH and the Kubernetes API, separated by commas",
    hint:
      `Your public addresses, such as 198.51.100.7/32. "detect" asks ${defaultAddressService} with which one this machine comes.\n` +
      "Wherever else you work from, `trading admit` lets that machine in for an hour.",
    read: networks,
    isPlaceholder: (value) =>
      Array.isArray(value) &&
      value.length > 0 &&
      value.every((network) => isForDocumentation(String(network))),
  },
  {
    group: "archive",
    path: ["archive", "endpoint"],
    variable: "S3_ENDPOINT",
    label: "Endpoint of the object storage that keeps every day",
    hint: "https://console.hetzner.com: Object Storage, Create bucket; its endpoint is shown there. Any S3 service will do.",
    proposal: () => "https://fsn1.your-objectstorage.com",
  },
  {
    group: "archive",
    path: ["archive", "region"],
    variable: "S3_REGION",
    label: "Its region",
    proposal: (draft) => {
      const endpoint = draft.text(["archive", "endpoint"]) ?? "";
      return /^https:\/\/([a-z0-9-]+)\.your-objectstorage\.com\/?$/.exec(endpoint)?.[1];
    },
  },
  {
    group: "archive",
    path: ["archive", "bucket"],
    variable: "S3_BUCKET",
    label: "Name of the bucket",
    proposal: ({ stack }) => `trading-archive-${stack}`,
  },
  {
    group: "archive",
    path: ["archiveAccessKeyId"],
    secret: true,
    variable: "S3_ACCESS_KEY_ID",
    label: "Access key of the bucket",
    hint: "Object Storage, Credentials, Generate credentials. It must read, list and write; it need not be able to delete.",
  },
  {
    group: "archive",
    path: ["archiveSecretAccessKey"],
    secret: true,
    variable: "S3_SECRET_ACCESS_KEY",
    label: "Its secret key",
  },
  {
    group: "delivery",
    path: ["delivery"],
    variable: "TRADING_DELIVERY",
    label: "How the services get into the cluster: gitops (Argo CD follows a repository) or direct (Pulumi)",
    proposal: () => "gitops",
  },
  {
    group: "delivery",
    path: ["gitops", "repository"],
    variable: "TRADING_GIT_REPOSITORY",
    label: "Clone address of the repository that Argo CD follows",
    applies: isGitops,
  },
  {
    group: "delivery",
    path: ["gitops", "path"],
    variable: "TRADING_GIT_PATH",
    label: "Folder in it",
    proposal: ({ stack }) => `k8s/overlays/${stack}`,
    applies: isGitops,
  },
  {
    group: "delivery",
    path: ["gitops", "revision"],
    variable: "TRADING_GIT_REVISION",
    label: "Branch in it",
    proposal: ({ stack }) => (stack === "prod" ? "production" : "master"),
    applies: isGitops,
  },
  {
    group: "delivery",
    path: ["gitSshKey"],
    secret: true,
    variable: "TRADING_GIT_SSH_KEY",
    label: "Deploy key that may read it: the file with the private key",
    hint: "The address is one of SSH. The key has no passphrase, and may read and nothing else.",
    applies: (draft) => isGitops(draft) && !/^(https?:|$)/.test(draft.text(["gitops", "repository"]) ?? ""),
  },
  {
    group: "alpaca",
    path: ["alpacaKeyId"],
    secret: true,
    variable: "ALPACA_KEY_ID",
    label: "Alpaca API key",
    hint: "https://app.alpaca.markets: Paper Trading first, then API Keys, Generate. Paper keys begin with PK.",
  },
  {
    group: "alpaca",
    path: ["alpacaSecretKey"],
    secret: true,
    variable: "ALPACA_SECRET_KEY",
    label: "Its secret",
  },
  {
    group: "near",
    path: ["venues", "nearIntents", "salt"],
    variable: "NEAR_SALT",
    label: "Salt of the contract intents.near",
    hint: "`near view intents.near current_salt` shows it.",
  },
  {
    group: "near",
    path: ["nearRelayToken"],
    secret: true,
    variable: "NEAR_RELAY_TOKEN",
    label: "Partner token of the NEAR Intents relay",
    hint: "The relay's operators hand them out to market makers: https://docs.near-intents.org.",
  },
  {
    group: "near",
    path: ["nearSignerId"],
    secret: true,
    variable: "NEAR_SIGNER_ID",
    label: "NEAR account that signs",
  },
  {
    group: "near",
    path: ["nearPrivateKey"],
    secret: true,
    variable: "NEAR_PRIVATE_KEY",
    label: "Its private key, ed25519:…",
  },
  {
    group: "schedule",
    path: ["openHours"],
    variable: "TRADING_OPEN_HOURS",
    label: "Hours that the stack is open on a trading day",
    proposal: ({ stack }) => (stack === "prod" ? "10" : "2"),
    optional: true,
    read: (text) => (/^\d+$/.test(text) ? Number(text) : text),
  },
  {
    group: "schedule",
    path: ["schedule", "open"],
    variable: "TRADING_SCHEDULE_OPEN",
    label: "When it opens on each trading day, New York time; an empty answer: only when somebody opens it",
    optional: true,
  },
];
