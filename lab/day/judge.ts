/** The judge of a day: what was measured of each promise of DESIGN §6, from the outside, not from our own word. */
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import type { BookCheck } from "./books.ts";
import type { DayCounts } from "./counts.ts";
import type { PromiseCheck } from "./summary.ts";

/** So many of what may be thousands are named. */
const shownDifferences = 5;

/** A resource of the Hetzner project that costs money. */
export interface BillableResource {
  kind: string;
  name: string;
  /** Net price per hour in euros. */
  pricePerHour: number;
}

/** Promise 1: at most once at the venue, exactly one terminal result, and the two agree. */
export function judgeExecution(counts: DayCounts, books: readonly BookCheck[]): PromiseCheck {
  const { commands, results } = counts.events;
  const differences = books.flatMap((book) => book.differences);
  const twice = books.reduce((sum, book) => sum + book.twice, 0);
  const executed = books.map((book) => `${book.executed} at ${book.venue}`).join(" and ");
  return {
    promise: "a command is executed at most once and has exactly one result",
    held:
      books.length > 0 &&
      twice === 0 &&
      differences.length === 0 &&
      counts.duplicates === 0 &&
      commands === results,
    detail: [
      `${commands} commands, ${results} results, ${counts.duplicates} duplicates, ` +
        `executed ${executed}, ${twice} of them twice`,
      ...differences.slice(0, shownDifferences),
      ...(differences.length > shownDifferences
        ? [`and ${differences.length - shownDifferences} more differences`]
        : []),
    ].join("; "),
  };
}

/** Promise 2: nothing that a broker acknowledged is missing from the archive. */
export function judgeArchive(
  archive: { verified: boolean; problems: readonly string[] },
  lost: number,
): PromiseCheck {
  return {
    promise: "no event is missing from the archive",
    held: archive.verified && lost === 0,
    detail: `${lost} lost, archive ${archive.verified ? "verified" : `not verified: ${archive.problems.join("; ")}`}`,
  };
}

/** What a venue sends as documented is processed, not put aside. */
export function judgeDeadLetters(deadLetters: number): PromiseCheck {
  return {
    promise: "no event was put aside as unusable",
    held: deadLetters === 0,
    detail: deadLetters === 0 ? "no dead letter" : `${deadLetters} dead letters; .lab/logs has the reasons`,
  };
}

/** Promise 3: nothing that bills is left. */
export function judgeBilling(left: readonly BillableResource[]): PromiseCheck {
  return {
    promise: "nothing that bills is left but the archive bucket",
    held: left.length === 0,
    detail:
      left.length === 0
        ? "the Hetzner project is empty"
        : left
            .map(({ kind, name, pricePerHour }) => `${kind} ${name} at EUR ${pricePerHour.toFixed(4)}/h`)
            .join(", "),
  };
}

/** Promise 4, seen from the end of the day: no name is left that the next `up` would meet. */
export function judgeLeftNames(names: readonly string[]): PromiseCheck {
  return {
    promise: "nothing is left that stands in the next day's way",
    held: names.length === 0,
    detail: names.length === 0 ? "no name is taken" : names.join(", "),
  };
}

/** An inbound rule of a firewall, as the Hetzner API shows it. */
export interface InboundRule {
  direction: string;
  protocol: string;
  port?: string | null;
  source_ips?: string[];
}

/** A server and the inbound rules that its firewalls apply, as seen through the API after `up`. */
export interface ServerExposure {
  server: string;
  firewalls: number;
  rules: readonly InboundRule[];
}

/** Promise 5: only SSH and the Kubernetes API, only to the configured addresses. */
export function judgePorts(
  servers: readonly ServerExposure[],
  allowed: { ports: readonly number[]; cidrs: readonly string[] },
): PromiseCheck {
  const faults: string[] = [];
  for (const { server, firewalls, rules } of servers) {
    if (firewalls === 0) faults.push(`${server} has no firewall`);
    for (const rule of rules.filter(({ direction }) => direction === "in")) {
      const opening = `${server}: ${rule.protocol} ${rule.port ?? "all ports"}`;
      if (rule.protocol !== "tcp" || !allowed.ports.includes(Number(rule.port)))
        faults.push(`${opening} is open`);
      const strangers = (rule.source_ips ?? []).filter((source) => !allowed.cidrs.includes(source));
      if (strangers.length > 0) faults.push(`${opening} is open to ${strangers.join(", ")}`);
    }
  }
  return {
    promise: "nothing listens to the internet but SSH and the Kubernetes API, to the configured addresses",
    held: faults.length === 0 && servers.length > 0,
    detail:
      faults.length === 0
        ? `${servers.length} ${servers.length === 1 ? "server" : "servers"} looked at`
        : faults.join("; "),
  };
}

/** What a search for secrets found. */
export interface SecretSearch {
  /** How many files were read. */
  files: number;
  /** Secret and file by name, never by value. */
  found: string[];
}

/**
 * Looks for secrets in clear in what the day wrote.
 * @param roots files and folders to search.
 * @param secrets name to value; a value is also looked for as base64, as Kubernetes Secrets would hold it.
 */
export function searchSecrets(
  roots: readonly string[],
  secrets: Readonly<Record<string, string>>,
): SecretSearch {
  const search: SecretSearch = { files: 0, found: [] };
  for (const file of roots.flatMap(listFiles)) {
    search.files++;
    search.found.push(...secretsIn(readFileSync(file), path.basename(file), secrets));
  }
  return search;
}

/** Which secrets stand in a file's content, each as its name and the file's. Arguments as {@link searchSecrets}. */
export function secretsIn(
  content: Buffer,
  file: string,
  secrets: Readonly<Record<string, string>>,
): string[] {
  return Object.entries(secrets)
    .filter(([, value]) => content.includes(value) || content.includes(Buffer.from(value).toString("base64")))
    .map(([name]) => `${name} in ${file}`);
}

/** Promise 6: no secret stands in clear. The state is searched while it holds everything, logs and evidence at the end. */
export function judgeSecrets(searches: readonly SecretSearch[]): PromiseCheck {
  const found = [...new Set(searches.flatMap((search) => search.found))];
  const files = searches.reduce((sum, search) => sum + search.files, 0);
  return {
    promise: "secrets are never in clear in state, logs or evidence",
    held: found.length === 0 && files > 0,
    detail: found.length === 0 ? `${files} files searched` : found.join(", "),
  };
}

function listFiles(root: string): string[] {
  try {
    return readdirSync(root, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => path.join(entry.parentPath, entry.name));
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT") return [];
    if (code === "ENOTDIR") return [root];
    throw error;
  }
}
