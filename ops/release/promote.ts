/**
 * The pull request that takes one branch into another, by the API that GitHub and Forgejo have in common
 * (https://docs.github.com/en/rest/pulls/pulls, https://codeberg.org/api/swagger).
 */
import { z } from "zod";
import { UsageError } from "../run.ts";

/** The forge refused, or cannot be reached. */
export class ForgeError extends Error {
  override readonly name = "ForgeError";
}

export interface PromoteArguments {
  /** GITHUB_API_URL, GITHUB_REPOSITORY (both forges' runners set them) and FORGE_TOKEN. */
  environment: Readonly<Record<string, string | undefined>>;
  from: string;
  to: string;
  signal: AbortSignal;
}

export interface PromoteResult {
  /** `nothing`: the branch has nothing that the other has not. */
  outcome: "opened" | "already-open" | "nothing";
  /** The page of the pull request; null when there is none. */
  url: string | null;
  /** First lines of the messages of the commits that it takes along, oldest first; not told of one that is open. */
  commits: string[];
}

const requestTimeoutMs = 30_000;
/** Of a pull request's text. */
const mostLines = 100;

const pullSchema = z.object({
  html_url: z.string(),
  base: z.object({ ref: z.string() }),
  head: z.object({ ref: z.string() }),
});
const comparisonSchema = z.object({
  total_commits: z.number(),
  commits: z.array(z.object({ commit: z.object({ message: z.string() }) })).nullish(),
});

/**
 * Opens it, or finds the one that is open.
 * @throws UsageError with every variable that is missing; ForgeError with the forge's own words
 */
export async function promote({ environment, from, to, signal }: PromoteArguments): Promise<PromoteResult> {
  const {
    GITHUB_API_URL: api = "",
    GITHUB_REPOSITORY: repository = "",
    FORGE_TOKEN: token = "",
  } = environment;
  const missing = Object.entries({ GITHUB_API_URL: api, GITHUB_REPOSITORY: repository, FORGE_TOKEN: token })
    .filter(([, value]) => value === "")
    .map(([name]) => name);
  if (missing.length > 0) {
    throw new UsageError(
      `${missing.join(", ")}: not in the environment. A CI job has the first two; the token may read the repository and write pull requests.`,
    );
  }
  const ask = async (method: string, route: string, body?: object): Promise<unknown> => {
    const where = `${method} ${api}/repos/${repository}/${route}`;
    let response: Response;
    try {
      response = await fetch(`${api}/repos/${repository}/${route}`, {
        method,
        headers: {
          authorization: `token ${token}`,
          accept: "application/json",
          "content-type": "application/json",
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        signal: AbortSignal.any([signal, AbortSignal.timeout(requestTimeoutMs)]),
      });
    } catch (error) {
      signal.throwIfAborted();
      throw new ForgeError(`${where}: no answer: ${(error as Error).message}. Run it again.`, {
        cause: error,
      });
    }
    const text = await response.text();
    if (!response.ok) throw new ForgeError(`${where}: status ${response.status}: ${text.slice(0, 500)}`);
    return JSON.parse(text);
  };
  const open = z.array(pullSchema).parse(await ask("GET", "pulls?state=open&limit=50&per_page=100"));
  const known = open.find(({ base, head }) => base.ref === to && head.ref === from);
  if (known !== undefined) return { outcome: "already-open", url: known.html_url, commits: [] };
  const route = `compare/${encodeURIComponent(to)}...${encodeURIComponent(from)}`;
  const { total_commits: total, commits: listed } = comparisonSchema.parse(await ask("GET", route));
  if (total === 0) return { outcome: "nothing", url: null, commits: [] };
  const commits = (listed ?? []).map(({ commit }) => commit.message.split("\n", 1)[0] ?? "");
  const shown = commits.slice(-mostLines);
  const more = total - shown.length;
  const text = [
    `Takes ${total === 1 ? "1 commit" : `${total} commits`} of \`${from}\` to \`${to}\`:`,
    "",
    ...(more > 0 ? [`- … and ${more} before these`] : []),
    ...shown.map((line) => `- ${line}`),
    "",
    "Argo CD rolls it out within a minute after the merge, where a cluster runs; otherwise the next one runs it.",
  ].join("\n");
  const made = await ask("POST", "pulls", {
    title: `Promote ${from} to ${to}`,
    head: from,
    base: to,
    body: text,
  });
  return { outcome: "opened", url: pullSchema.parse(made).html_url, commits };
}
