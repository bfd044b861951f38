/**
 * The whole graph of each stack, as the lab's engine gets it from the unmodified program, against a stored and reviewed
 * one: stacks/graph/<stack>.json. A difference is a change of what runs, or of what goes with what: read it, and when it
 * is meant, accept it with `npm run graph` and commit the files.
 *
 * The graph is that of a preview of an empty account: the program's own process, real engine and providers, no
 * operation. So what an operation makes (ids, keys, the cluster's id) stands as `[unknown]`, with its source in
 * `propertyDependencies`, and secrets as `[secret]`. User data is both; its text is held by cloud-init's own tests.
 */
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { format } from "prettier";
import { parse } from "yaml";
import { closingWindow } from "../components/argocd-objects.ts";
import { preview, propertyChanges, type PropertyMap, type RegisteredResource } from "../lab/engine/index.ts";
import { type Hetzner, startHetzner } from "../lab/hetzner/index.ts";
import { madeUpSecrets } from "./made-up-secrets.ts";

const repository = fileURLToPath(new URL("..", import.meta.url));
const accepting = process.env["TRADING_GRAPH"] === "accept";

/** Name of the file, the stack, and what differs from its configuration. */
const graphs: readonly { name: string; stack: string; config: Readonly<Record<string, string>> }[] = [
  { name: "dev", stack: "dev", config: {} },
  { name: "prod", stack: "prod", config: {} },
  { name: "single-node", stack: "dev", config: { "trading:profile": "single-node" } },
];

let hetzner: Hetzner;
let directory = "";
before(async () => {
  hetzner = await startHetzner({});
  directory = mkdtempSync(path.join(tmpdir(), "graph-"));
});
after(async () => {
  await hetzner.close();
  rmSync(directory, { recursive: true, force: true });
});

/** As `Pulumi.<stack>.yaml` has it, on a fixed day, with an API to ask and made-up secrets. */
function configurationOf(stack: string, differing: Readonly<Record<string, string>>): Record<string, string> {
  const file = readFileSync(path.join(repository, `Pulumi.${stack}.yaml`), "utf8");
  const { config } = parse(file) as { config: Record<string, unknown> };
  const text = (value: unknown): string => (typeof value === "string" ? value : JSON.stringify(value));
  return {
    ...Object.fromEntries(Object.entries(config).map(([key, value]) => [key, text(value)])),
    "trading:businessDate": "2026-01-15",
    "trading:hcloudEndpoint": hetzner.endpoint,
    // The lab's engine knows Kubernetes objects only as files; a preview writes none.
    "trading:kubernetesRenderDirectory": "rendered",
    ...madeUpSecrets,
    "trading:hcloudToken": hetzner.token,
    ...differing,
  };
}

/** `type name`, which is unique in this program and short. */
const shortName = (urn: string): string => {
  const [, , types = "", ...name] = urn.split("::");
  return `${types.split("$").at(-1)} ${name.join("::")}`;
};
const shortNames = (urns: readonly string[]): string[] => urns.map(shortName).sort();

/** Without what is empty, in an order that does not depend on when the program asked. */
function entry(resource: RegisteredResource): PropertyMap {
  const { urn, custom, parent, provider, deletedWith, propertyDependencies, options } = resource;
  const lists = {
    dependencies: shortNames(resource.dependencies),
    ignoreChanges: resource.ignoreChanges,
    replaceOnChanges: resource.replaceOnChanges,
    additionalSecretOutputs: resource.additionalSecretOutputs,
  };
  const sources = Object.entries(propertyDependencies).sort(([left], [right]) => (left < right ? -1 : 1));
  return {
    urn,
    ...(custom ? {} : { component: true }),
    ...(parent === undefined ? {} : { parent: shortName(parent) }),
    ...(provider === undefined ? {} : { provider: shortName(provider) }),
    ...(deletedWith === undefined ? {} : { deletedWith: shortName(deletedWith) }),
    ...Object.fromEntries(Object.entries(lists).filter(([, list]) => list.length > 0)),
    ...(sources.length === 0
      ? {}
      : { propertyDependencies: Object.fromEntries(sources.map(([key, urns]) => [key, shortNames(urns)])) }),
    ...options,
    inputs: sortedKeys(resource.inputs),
  };
}

function sortedKeys<T>(value: T): T {
  if (Array.isArray(value)) return value.map(sortedKeys) as T;
  if (typeof value !== "object" || value === null) return value;
  const members = Object.entries(value).sort(([left], [right]) => (left < right ? -1 : 1));
  return Object.fromEntries(members.map(([key, inner]) => [key, sortedKeys(inner)])) as T;
}

/** The graph by short name, with what depends on the moment taken out. */
async function readGraph(
  stack: string,
  differing: Readonly<Record<string, string>>,
): Promise<Record<string, PropertyMap>> {
  const config = configurationOf(stack, differing);
  const { resources } = await preview({
    projectDirectory: repository,
    stack,
    config,
    secretKeys: ["trading:hcloudToken", ...Object.keys(madeUpSecrets)],
    stateFile: path.join(directory, `${stack}.json`),
    passphrase: "no state is written",
  });
  const entries = resources.map((resource) => [shortName(resource.urn), entry(resource)] as const);
  assert.equal(new Set(entries.map(([name]) => name)).size, entries.length, "short names are unique");
  const identity = resources.find(({ name }) => name === "cluster-cluster-id")?.inputs["keepers"];
  const { expiresAt } = identity as { expiresAt: string };
  const graph = Object.fromEntries([...entries].sort(([left], [right]) => (left < right ? -1 : 1)));
  const text = JSON.stringify(graph)
    .replaceAll(expiresAt, "[expires at]")
    .replaceAll(closingWindow(Number(expiresAt)).schedule ?? "", "[a quarter of an hour before it expires]")
    .replaceAll(hetzner.endpoint, "[endpoint of the Hetzner API]");
  return JSON.parse(text) as Record<string, PropertyMap>;
}

const shown = (value: unknown): string => {
  const text = JSON.stringify(value) ?? "nothing";
  return text.length > 200 ? `${text.slice(0, 200)}…` : text;
};

/** What a reviewer reads: a line for each value that differs. */
function differences(stored: Record<string, PropertyMap>, now: Record<string, PropertyMap>): string[] {
  return [...new Set([...Object.keys(stored), ...Object.keys(now)])].sort().flatMap((name) => {
    const [old, fresh] = [stored[name], now[name]];
    if (old === undefined) return [`+ ${name}`];
    if (fresh === undefined) return [`- ${name}`];
    const changes = propertyChanges(old, fresh);
    if (changes.length === 0) return [];
    return [
      `~ ${name}`,
      ...changes.map(
        ({ path: where, before: from, after: to }) => `    ${where}: ${shown(from)} → ${shown(to)}`,
      ),
    ];
  });
}

for (const { name, stack, config } of graphs) {
  test(`the graph of ${name} is the reviewed one`, async () => {
    const graph = await readGraph(stack, config);
    const file = path.join(repository, "stacks", "graph", `${name}.json`);
    if (accepting) {
      writeFileSync(file, await format(JSON.stringify(graph), { parser: "json", printWidth: 110 }));
      return;
    }
    const stored = JSON.parse(readFileSync(file, "utf8")) as Record<string, PropertyMap>;
    const found = differences(stored, graph);
    assert.ok(
      found.length === 0,
      `the program asks for something else than stacks/graph/${name}.json says:\n${found.join("\n")}\n` +
        "If this is meant, accept it with `npm run graph`, read `git diff stacks/graph`, and commit it.",
    );
  });
}
