/** The scripts of a node, and how one of them is called from outside. */
import { readFileSync } from "node:fs";

/** Where the scripts stand on a node. */
export const scriptDirectory = "/usr/local/lib/trading";

/** The commands that are run over SSH, and those that cloud-init and the units run. */
export const scripts = [
  "install-node",
  "pull-images",
  "wait-for-node",
  "wait-for-nodes",
  "print-kubeconfig",
  "wait-for-crds",
] as const;

export type ScriptName = (typeof scripts)[number];

/** The text of a script. */
export function script(name: ScriptName): string {
  return readFileSync(new URL(`./scripts/${name}`, import.meta.url), "utf8");
}

/**
 * The command line of a node's first contact: it waits for the script, and says why when cloud-init never wrote it.
 * Nothing of a node's own can be relied on here.
 */
export function firstContact(name: ScriptName): string {
  const path = `${scriptDirectory}/${name}`;
  const reason = `${name}: $(hostname): cloud-init did not write ${path} within 120 s: did it take the user data?`;
  const explain = [
    "timeout 10 cloud-init status --long",
    "tail -n 12 /var/log/cloud-init.log",
    "tail -n 12 /var/log/cloud-init-output.log",
    // Last, because whoever shows an error shows its end.
    `echo "${reason}"`,
    "exit 1",
  ].join("; ");
  return `timeout 120 sh -c 'until test -x ${path}; do sleep 1; done' || { ${explain}; } >&2; exec ${path}`;
}
