/**
 * Hetzner's official clients, Python and Go, drive a whole cluster's life against the simulator, unchanged, while some
 * of their requests meet faults that they promise to repeat. Every answer is validated against Hetzner's OpenAPI document
 * where that is at hand. Not part of `npm test`, because it needs Python, Go and two packages: `npm run check:hetzner-client`.
 * Exit code 1 when a client fails, cannot be had, or leaves something that bills.
 */
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { installPythonPackage, runPython } from "../python.ts";
import { type FaultPlan, type Hetzner, startHetzner } from "./index.ts";
import { openApiAvailable, OpenApiChecker } from "./testing/openapi.ts";

const python = { name: "hcloud", version: "2.27.0" };
const script = fileURLToPath(new URL("testing/official_client.py", import.meta.url));
const goModule = fileURLToPath(new URL("testing/go-client", import.meta.url));
const deadlineMs = 120_000;

/** What both clients repeat by themselves, and an action that fails for the server that the Python client expects it of. */
const faults: FaultPlan = {
  rules: [
    {
      at: "request",
      id: "conflict",
      path: "/networks/{id}/actions/add_subnet",
      when: { nth: [1] },
      effect: { kind: "error", code: "conflict" },
    },
    {
      at: "request",
      id: "429",
      method: "GET",
      path: "/servers/{id}",
      when: { nth: [1] },
      effect: { kind: "error", code: "rate_limit_exceeded" },
    },
    {
      at: "request",
      id: "502",
      method: "GET",
      path: "*/actions*",
      when: { nth: [2] },
      effect: { kind: "http", status: 502 },
    },
    {
      at: "action",
      id: "doomed",
      command: "create_server",
      resource: "check-doomed",
      effect: { error: { code: "action_failed", message: "it was to fail" } },
    },
  ],
};

/** Runs Go in the client's module; its output is ours. @returns its exit code: 127 when it cannot be started */
function runGo(
  args: readonly string[],
  environment: Record<string, string>,
  timeout: number,
): Promise<number> {
  return new Promise((resolve) => {
    const child = spawn("go", args, {
      cwd: goModule,
      env: { ...process.env, ...environment },
      stdio: ["ignore", "inherit", "inherit"],
      timeout,
    });
    child.once("error", (error) => {
      console.error(`go cannot be started: ${error.message}. The check needs Go 1.25 or newer on the PATH.`);
      resolve(127);
    });
    child.once("exit", (code) => resolve(code ?? 1));
  });
}

/**
 * Lets one client drive a simulator of its own.
 * @param expected ids of the faults that must have hit
 * @returns what was wrong
 */
async function drive(
  name: string,
  expected: readonly string[],
  run: (hetzner: Hetzner) => Promise<number>,
): Promise<string[]> {
  const checker = openApiAvailable ? new OpenApiChecker() : undefined;
  const mistakes = new Set<string>();
  const hetzner = await startHetzner({
    faults,
    onAnswer: ({ method, path, status }, body) => {
      // What a fault put in front of the API, or dropped, is no answer of the API.
      if (checker === undefined || status === 0 || body.startsWith("<html>")) return;
      for (const mistake of checker.check(method, path, status, body === "" ? null : JSON.parse(body)))
        mistakes.add(mistake);
    },
  });
  const started = performance.now();
  try {
    const code = await run(hetzner);
    const { project } = hetzner;
    if (code !== 0) mistakes.add(`${name} ended with ${code}`);
    for (const one of project.billable())
      mistakes.add(`left over: ${one.kind} ${one.name}, EUR ${one.pricePerHour}/h`);
    for (const { id, hit } of hetzner.faults.report())
      if (expected.includes(id) && hit === 0) mistakes.add(`the fault '${id}' did not happen`);
    const kinds =
      checker === undefined
        ? "not validated: the OpenAPI document is not at hand"
        : `${checker.checked.size} kinds of answers validated`;
    const took = ((performance.now() - started) / 1_000).toFixed(1);
    console.log(`${name}: ${project.requests().length} requests in ${took} s; ${kinds}`);
  } finally {
    await hetzner.close();
  }
  return [...mistakes].map((mistake) => `${name}: ${mistake}`);
}

const faultsOfAll = ["conflict", "429", "502"];

async function drivePython(): Promise<string[]> {
  const directory = await installPythonPackage(python);
  if (directory === undefined) return [`pip cannot provide ${python.name} ${python.version}`];
  return drive("Python client", [...faultsOfAll, "doomed"], ({ token, endpoint }) =>
    runPython(
      [script, endpoint, "action_failed"],
      { PYTHONPATH: directory, HCLOUD_TOKEN: token, PYTHONDONTWRITEBYTECODE: "1" },
      deadlineMs,
    ),
  );
}

async function driveGo(): Promise<string[]> {
  // Downloading and compiling are no part of the client's own time.
  console.log("building the Go client");
  const built = await runGo(["build", "-o", "/dev/null", "."], {}, 300_000);
  if (built !== 0) return [`the Go client cannot be built (${built})`];
  return drive("Go client", faultsOfAll, ({ token, endpoint }) =>
    runGo(["run", ".", endpoint], { HCLOUD_TOKEN: token }, deadlineMs),
  );
}

const mistakes = [...(await drivePython()), ...(await driveGo())];
for (const mistake of mistakes) console.error(mistake);
console.log(mistakes.length === 0 ? "both official clients: ok" : `${mistakes.length} mistakes`);
process.exitCode = mistakes.length === 0 ? 0 : 1;
