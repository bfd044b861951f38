/** Looks for the branch that Argo CD is to follow. */
import { execFile } from "node:child_process";
import type { CheckContext } from "./check.ts";
import { type Finding, findingsOf } from "./finding.ts";

const finding = findingsOf("delivery");
const gitMs = 30_000;
/** How git reaches the network, where not directly: https://git-scm.com/docs/git-config (http.proxy, http.sslCAInfo). */
const networkVariables = [
  ...["http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY"],
  ...["GIT_SSL_CAINFO", "GIT_SSL_CAPATH", "SSL_CERT_FILE", "SSL_CERT_DIR"],
];

/** See the module's description. @throws the signal's reason */
export async function checkDelivery({ draft, signal, progress }: CheckContext): Promise<Finding[]> {
  if (draft.text(["delivery"]) !== "gitops")
    return [finding("ok", "Pulumi applies the services itself; no Git repository is followed.")];
  const repository = draft.text(["gitops", "repository"]) ?? "";
  const revision = draft.text(["gitops", "revision"]) ?? "";
  if (!/^https?:/.test(repository) || draft.secret("gitToken") !== "")
    return [
      finding(
        "note",
        `${repository} was not asked: it takes a credential that only the cluster uses. Argo CD's status shows whether it does.`,
      ),
    ];
  progress(`Asking ${repository} for ${revision}`);
  const { code, said } = await lsRemote(repository, revision, signal);
  switch (code) {
    case 0:
      return [finding("ok", `${repository} can be read by anyone and has ${revision}.`)];
    case 2:
      return [finding("warning", `${repository} can be read, and has no branch or tag ${revision}.`)];
    default:
      return [
        finding(
          "warning",
          `${repository} could not be read without a credential (${said}). If it is not public, set the secret trading:gitToken.`,
        ),
      ];
  }
}

/** `git ls-remote`, with no credential of this machine. @returns git's exit code and its last line */
function lsRemote(
  repository: string,
  revision: string,
  signal: AbortSignal,
): Promise<{ code: number; said: string }> {
  const command = ["-c", "credential.helper=", "ls-remote", "--exit-code", "--", repository, revision];
  const env = {
    ...Object.fromEntries(networkVariables.map((name) => [name, process.env[name]])),
    PATH: process.env["PATH"],
    HOME: process.env["HOME"],
    GIT_TERMINAL_PROMPT: "0",
    GIT_ASKPASS: "",
  };
  return new Promise((resolve, reject) => {
    execFile("git", command, { env, timeout: gitMs }, (error, _stdout, stderr) => {
      if (signal.aborted) return reject(signal.reason as Error);
      const code = error === null ? 0 : typeof error.code === "number" ? error.code : -1;
      resolve({ code, said: stderr.trim().split("\n").at(-1) ?? error?.message ?? "" });
    });
  });
}
