/** The pods' logs of a running cluster, by `kubectl` of this machine. */
import { spawn } from "node:child_process";
import { demandOnPath, ToolError } from "../ui/tool.ts";
import { namespacesOf } from "./services.ts";

/** What is to be shown. */
export interface RunningLogs {
  service: string | undefined;
  /** Goes on until the signal. */
  follow: boolean;
  /** As kubectl takes it, `10m`. Default: from the pod's beginning. */
  since: string | undefined;
}

/** Pods that one kubectl follows at the same time; a cluster has about a dozen. */
const mostFollowed = 50;
/** A kubectl that was asked to end and does not is killed then. */
const killAfterMs = 5_000;

/** Arguments of kubectl for one namespace. */
export function kubectlArguments(namespace: string, { service, follow, since }: RunningLogs): string[] {
  const name = service === undefined ? "" : `,app.kubernetes.io/name=${service}`;
  return [
    ...["--namespace", namespace, "logs"],
    ...["--selector", `app.kubernetes.io/part-of=trading${name}`],
    ...["--all-containers", "--prefix", "--timestamps", "--tail=-1"],
    ...(since === undefined ? [] : [`--since=${since}`]),
    ...(follow ? ["--follow", `--max-log-requests=${mostFollowed}`] : []),
  ];
}

/**
 * Shows them on standard output, as kubectl prints them: namespace by namespace, or all at the same time when followed.
 * @param environment has KUBECONFIG
 * @throws UsageError without kubectl; ToolError when it fails
 */
export async function showRunningLogs(
  wanted: RunningLogs,
  environment: NodeJS.ProcessEnv,
  signal: AbortSignal,
): Promise<void> {
  demandOnPath("kubectl", "Get it: https://kubernetes.io/docs/tasks/tools/", environment["PATH"] ?? "");
  const runs = namespacesOf(wanted.service).map(
    (namespace) => () => runKubectl(kubectlArguments(namespace, wanted), environment, signal),
  );
  if (wanted.follow) await Promise.all(runs.map((run) => run()));
  else for (const run of runs) await run();
}

async function runKubectl(
  args: readonly string[],
  environment: NodeJS.ProcessEnv,
  signal: AbortSignal,
): Promise<void> {
  signal.throwIfAborted();
  const child = spawn("kubectl", args, { stdio: ["ignore", "inherit", "inherit"], env: environment });
  const killNow = (): void => void child.kill("SIGKILL");
  let killer: NodeJS.Timeout | undefined;
  const end = (): void => {
    child.kill("SIGTERM");
    killer = setTimeout(killNow, killAfterMs);
  };
  process.on("exit", killNow);
  signal.addEventListener("abort", end, { once: true });
  try {
    const how = await new Promise<string | undefined>((resolve) => {
      child.on("error", (error) => resolve(error.message));
      child.on("exit", (code, by) => resolve(code === 0 ? undefined : (by ?? `exit code ${code}`)));
    });
    signal.throwIfAborted();
    if (how !== undefined) {
      throw new ToolError(
        `\`kubectl ${args.join(" ")}\` failed (${how}); what it said stands above. Is this machine among ` +
          "trading:adminCidrs? Otherwise run it within `trading admit -- …`.",
      );
    }
  } finally {
    signal.removeEventListener("abort", end);
    clearTimeout(killer);
    process.off("exit", killNow);
  }
}
