/** `trading ui argocd` and `trading ui prometheus`: the cluster's own pages, on this machine. */
import { type Command, InvalidArgumentError } from "commander";
import { argoCdFacts } from "../../components/argocd-facts.ts";
import { prometheusFacts } from "../../components/prometheus-facts.ts";
import { chartImages } from "../../components/versions.ts";
import { openStackEngine } from "../engine/choose.ts";
import { exitCodes } from "../exit-codes.ts";
import { stackOption } from "../hetzner/settings.ts";
import { runs } from "../run.ts";
import { readKubeconfig, withKubeconfig } from "./kubeconfig.ts";
import { loopback, serveWith } from "./tool.ts";

/** One page and the program that brings it here. */
interface Page {
  name: "argocd" | "prometheus";
  description: string;
  /** Default of `--port`. */
  port: number;
  tool: string;
  /** Where to get it. */
  source: string;
  args: (port: number) => string[];
}

const argoCdVersion = chartImages.argoCd.split(":").at(-1) ?? "";
const prometheus = new URL(prometheusFacts.url);
const [prometheusService = ""] = prometheus.hostname.split(".");

const pages: readonly Page[] = [
  {
    name: "argocd",
    description:
      "Argo CD's page: what Git says, what runs, and what differs. The cluster has Argo CD's core, without an API server: " +
      "`argocd admin dashboard` of this machine is one, with your rights in the cluster.",
    port: 8_080,
    tool: "argocd",
    source:
      `Get the release that runs in the cluster, ${argoCdVersion}: ` +
      `https://github.com/argoproj/argo-cd/releases/tag/${argoCdVersion}`,
    args: (port) => [
      "admin",
      "dashboard",
      "--namespace",
      argoCdFacts.namespace,
      "--address",
      loopback,
      "--port",
      String(port),
    ],
  },
  {
    name: "prometheus",
    description:
      "Prometheus' page: metrics, rules and alerts, through `kubectl port-forward` of this machine.",
    port: 9_090,
    tool: "kubectl",
    source: "Get it: https://kubernetes.io/docs/tasks/tools/",
    args: (port) => [
      "--namespace",
      prometheusFacts.namespace,
      "port-forward",
      "--address",
      loopback,
      `service/${prometheusService}`,
      `${port}:${prometheus.port}`,
    ],
  },
];

/** Adds the commands. */
export function registerUi(program: Command): void {
  const ui = program
    .command("ui")
    .description("Shows a page of the running cluster on this machine, until Ctrl-C.");
  for (const page of pages) {
    ui.command(page.name)
      .description(page.description)
      .addOption(stackOption())
      .option("--port <port>", "port of this machine", readPort, page.port)
      .option("--json", "the address as one JSON object")
      .addHelpText(
        "after",
        "\nThe kubeconfig comes from the stack's outputs, by the Pulumi CLI on PATH or the module that TRADING_ENGINE names; it is\n" +
          "written to a file that only you can read and removed at the end. The cluster lets in trading:adminCidrs; from elsewhere:\n" +
          `trading admit -- npm run --silent trading -- ui ${page.name}`,
      )
      .action(
        runs(async (run, { stack, port, json }: { stack: string; port: number; json?: boolean }) => {
          const engine = await openStackEngine({
            stack,
            projectDirectory: process.cwd(),
            environment: process.env,
          });
          run.progress(`stack ${stack}, read by: ${engine.description}`);
          const url = `http://${loopback}:${port}`;
          await withKubeconfig(await readKubeconfig(engine, stack), (file) =>
            serveWith({
              name: page.tool,
              source: page.source,
              args: page.args(port),
              // The only way that reaches all parts of `argocd admin dashboard`: its port-forwards read no flag.
              environment: { ...process.env, KUBECONFIG: file },
              port,
              onReady: () =>
                run.print(json ? JSON.stringify({ url }) : `${page.name}: ${url} (Ctrl-C ends it)`),
              signal: run.signal,
            }),
          );
          return exitCodes.ok;
        }),
      );
  }
}

function readPort(text: string): number {
  const port = Number(text);
  if (!Number.isInteger(port) || port < 1 || port > 65_535) {
    throw new InvalidArgumentError("Expected a port from 1 to 65535.");
  }
  return port;
}
