/** Runs `up` in a process of its own, so that a test can kill it. Arguments: the options as JSON. */
import { up, type EngineOptions } from "../index.ts";

const options = JSON.parse(process.argv[2] ?? "{}") as EngineOptions;
await up({
  ...options,
  onEvent: (event) => {
    if ("name" in event) process.stdout.write(`${event.kind} ${event.name}\n`);
  },
});
