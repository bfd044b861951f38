/** Who runs: what a lock says of its holder, for the next one who finds it. */
import { hostname, userInfo } from "node:os";

/** A run, as its locks name it. */
export interface RunIdentity {
  user: string;
  host: string;
  pid: number;
  /** The address of its CI job, as GitHub and Forgejo tell it to the job; null elsewhere. */
  run: string | null;
  /** When this process began, RFC 3339, by its own clock. */
  since: string;
}

/** This process. @param environment of the command line */
export function runIdentity(environment: Readonly<Record<string, string | undefined>>): RunIdentity {
  return {
    user: userName(),
    host: hostname(),
    pid: process.pid,
    run: ciRun(environment),
    since: new Date(Date.now() - performance.now()).toISOString(),
  };
}

/** `root@host (process 12, https://…/actions/runs/7, since …)` */
export function describeRun({ user, host, pid, run, since }: RunIdentity): string {
  return `${user}@${host} (process ${pid}, ${run === null ? "" : `${run}, `}since ${since})`;
}

/** https://docs.github.com/en/actions/reference/workflows-and-actions/variables; Forgejo sets the same ones. */
function ciRun(environment: Readonly<Record<string, string | undefined>>): string | null {
  const server = environment["GITHUB_SERVER_URL"];
  const repository = environment["GITHUB_REPOSITORY"];
  const id = environment["GITHUB_RUN_ID"];
  if (server === undefined || repository === undefined || id === undefined) return null;
  const attempt = environment["GITHUB_RUN_ATTEMPT"];
  return `${server}/${repository}/actions/runs/${id}${attempt === undefined ? "" : `/attempts/${attempt}`}`;
}

/** A process whose user has no name in the system is no error. */
function userName(): string {
  try {
    return userInfo().username;
  } catch {
    return String(process.getuid?.() ?? "unknown");
  }
}
