/**
 * Hetzner's official Python client drives a whole cluster's life against the simulator. Not part of `npm test`, because
 * it needs Python, pip and a package: `npm run check:hetzner-client`. Exit code 1 when the client fails; when pip cannot
 * provide the client, it says so and ends with 0, unless CI is set.
 */
import { fileURLToPath } from "node:url";
import { installPythonPackage, runPython } from "../python.ts";
import { startHetzner } from "./index.ts";

const client = { name: "hcloud", version: "2.27.0" };
const script = fileURLToPath(new URL("testing/official_client.py", import.meta.url));

const directory = await installPythonPackage(client);
if (directory === undefined) {
  console.log(`skipped: pip cannot provide ${client.name} ${client.version}`);
  process.exitCode = process.env["CI"] === undefined ? 0 : 1;
} else {
  const hetzner = await startHetzner();
  const environment = { PYTHONPATH: directory, HCLOUD_TOKEN: hetzner.token, PYTHONDONTWRITEBYTECODE: "1" };
  const code = await runPython([script, hetzner.endpoint], environment, 120_000);
  const left = hetzner.project.billable();
  await hetzner.close();
  for (const { kind, name, pricePerHour } of left)
    console.error(`left over: ${kind} ${name}, EUR ${pricePerHour}/h`);
  process.exitCode = code === 0 && left.length === 0 ? 0 : 1;
}
