/** `trading rollback`: an overlay's images back to what they were, as a commit that Argo CD follows. */
import { type Command, InvalidArgumentError } from "commander";
import { exitCodes } from "../exit-codes.ts";
import { readStack, stackOption } from "../hetzner/settings.ts";
import { RefusedError, runs } from "../run.ts";
import { rollBack, type RollbackResult, shortPin } from "./rollback.ts";

interface RollbackOptions {
  stack: string;
  service?: string;
  to?: string;
  push?: boolean;
  dryRun?: boolean;
  json?: boolean;
}

/** Adds the command. */
export function registerRollback(program: Command): void {
  program
    .command("rollback")
    .description(
      "Puts the image of a service, or of all, back to what the stack's branch had before: changes trading:images and the " +
        "overlay in this checkout, shows the difference and commits it. Argo CD rolls it out once it is pushed.",
    )
    .addOption(stackOption())
    .option("--service <name>", "roll back this service; default: all of the overlay")
    .option(
      "--to <version>",
      "to this tag or digest, which the overlay had once; default: the one before",
      readPin,
    )
    .option("--push", "push the commit to the branch that Argo CD follows")
    .option("--dry-run", "show the difference; commit nothing")
    .option("--json", "one JSON object instead of a report")
    .addHelpText(
      "after",
      "\nA second run changes nothing; --push then pushes what an earlier one has committed. Exit code 3: uncommitted changes, " +
        "another\nbranch, with --push other commits that are not pushed, a version that never ran here, or a stack that Argo CD " +
        "does not\ndeliver.",
    )
    .action(
      runs(async (run, options: RollbackOptions) => {
        const { stack, service, to, push = false, dryRun = false } = options;
        const { delivery, gitops, images } = readStack(stack);
        if (delivery !== "gitops" || gitops === undefined) {
          const what =
            service === undefined ? "trading:images.version" : `trading:images.versions.${service}`;
          throw new RefusedError(
            `The services of ${stack} are delivered by Pulumi (trading:delivery: direct), so nothing follows a commit. Set ${what} ` +
              `in Pulumi.${stack}.yaml to the version before and run \`pulumi up -s ${stack}\`.`,
          );
        }
        const result = await rollBack({
          stack,
          directory: process.cwd(),
          source: gitops,
          version: images.version,
          service,
          to,
          push,
          dryRun,
          signal: run.signal,
        });
        run.print(options.json ? JSON.stringify(result) : print(result));
        return exitCodes.ok;
      }),
    );
}

function readPin(text: string): string {
  if (!/^(sha256:[0-9a-f]{64}|\w[\w.-]{0,127})$/.test(text)) {
    throw new InvalidArgumentError("Expected a tag such as v1.0.0, or sha256: and 64 hexadecimal digits.");
  }
  return text;
}

function print({ stack, branch, changes, unchanged, diff, commit, pushedTo }: RollbackResult): string {
  const pushed =
    pushedTo === null ? [] : [`pushed to ${branch} of ${pushedTo}: Argo CD syncs within a minute`];
  if (unchanged !== null) return [`unchanged: ${unchanged}`, ...pushed].join("\n");
  const rows = changes.map(({ service, from, to }) => `  ${service}: ${shortPin(from)} -> ${shortPin(to)}`);
  const end =
    commit === null
      ? "nothing was committed (--dry-run)"
      : `committed to ${branch}: ${commit.slice(0, 12)}${pushedTo === null ? "; it goes live when it is pushed" : ""}`;
  return [diff.trimEnd(), "", `rollback of ${stack}:`, ...rows, end, ...pushed].join("\n");
}
