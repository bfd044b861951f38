/** `trading release`: what the release and promote workflows do. */
import { mkdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { type Command, InvalidArgumentError, Option } from "commander";
import { catalog } from "../../services/catalog.ts";
import { exitCodes } from "../exit-codes.ts";
import { readStack, stackOption } from "../hetzner/settings.ts";
import { runs, UsageError } from "../run.ts";
import { bump, readDigests } from "./bump.ts";
import { buildImages } from "./build.ts";
import { releaseImages } from "./images.ts";
import { promote } from "./promote.ts";
import { billOfMaterials } from "./sbom.ts";

/** Adds the command. */
export function registerRelease(program: Command): void {
  const release = program
    .command("release")
    .description("Steps of a release, as the workflows run them (docs/workflows.md).");

  release
    .command("images")
    .description("Names the images of a release: one of every row of services/catalog.ts.")
    .addOption(versionOption())
    .addOption(stackOption())
    .option("--json", "a JSON array of {service, image}")
    .action(
      runs(async (run, { version, stack, json }: { version: string; stack: string; json?: boolean }) => {
        const images = releaseImages(readStack(stack).images.registry, version);
        run.print(json ? JSON.stringify(images) : images.map(({ image }) => image).join("\n"));
        return exitCodes.ok;
      }),
    );

  release
    .command("sbom")
    .description("Writes which npm packages a service's image holds, as CycloneDX.")
    .addOption(new Option("--service <name>", "a row of the catalog").makeOptionMandatory())
    .addOption(new Option("--to <file>", "the file to write").makeOptionMandatory())
    .action(
      runs(async (_run, { service, to }: { service: string; to: string }) => {
        const known = catalog.map(({ name }) => name);
        if (!known.includes(service))
          throw new UsageError(`--service: found ${service}, expected one of ${known.join(", ")}.`);
        await writeSbom(service, to);
        return exitCodes.ok;
      }),
    );

  release
    .command("build")
    .description("Builds and pushes all images with buildah, where there is no Docker.")
    .addOption(versionOption())
    .addOption(stackOption())
    .addOption(new Option("--revision <commit>", "the commit they are built from").makeOptionMandatory())
    .addOption(new Option("--digests <folder>", "receives each image's digest").makeOptionMandatory())
    .addOption(
      new Option("--sboms <folder>", "receives each image's bill of materials").makeOptionMandatory(),
    )
    .addHelpText(
      "after",
      "\nREGISTRY_USER, REGISTRY_PASSWORD: who may push to the registry of trading:images.",
    )
    .action(
      runs(async (run, options: BuildOptions) => {
        const { version, stack, revision, digests, sboms } = options;
        const images = releaseImages(readStack(stack).images.registry, version);
        const { signal, note } = run;
        const directory = process.cwd();
        await buildImages({
          directory,
          images,
          version,
          revision,
          digests,
          environment: process.env,
          signal,
          note,
        });
        await mkdir(sboms, { recursive: true });
        for (const { service } of images) await writeSbom(service, path.join(sboms, `${service}.cdx.json`));
        run.print(images.map(({ image }) => image).join("\n"));
        return exitCodes.ok;
      }),
    );

  release
    .command("bump")
    .description(
      "Makes the stacks' overlays name a release by digest: one commit on the branch that is checked out.",
    )
    .addOption(versionOption())
    .addOption(
      new Option("--stack <name>", "a stack whose overlay is to name it; may be given several times")
        .argParser((name: string, before: string[] = []) => [...before, name])
        .makeOptionMandatory(),
    )
    .addOption(new Option("--branch <name>", "the branch that must be checked out").makeOptionMandatory())
    .addOption(
      new Option(
        "--digests <folder>",
        "a file for each service with its image's digest",
      ).makeOptionMandatory(),
    )
    .option("--push", "push the commit")
    .option("--json", "one JSON object instead of sentences")
    .action(
      runs(async (run, options: BumpOptions) => {
        const { version, stack: stacks, branch, push = false } = options;
        const digests = await readDigests(options.digests);
        const { signal } = run;
        const result = await bump({
          directory: process.cwd(),
          stacks,
          branch,
          version,
          digests,
          push,
          signal,
        });
        const { commit, diff, pushedTo } = result;
        const pushed = pushedTo === null ? "" : `, pushed to ${branch} of ${pushedTo}`;
        const word =
          commit === null
            ? `unchanged: ${version} is what the overlays name`
            : `committed: ${commit.slice(0, 12)}`;
        run.print(options.json ? JSON.stringify(result) : `${diff}${word}${pushed}`);
        return exitCodes.ok;
      }),
    );

  release
    .command("promote")
    .description(
      "Opens the pull request from one branch to another, at GitHub or Forgejo, unless it is open.",
    )
    .addOption(new Option("--from <branch>").default("master"))
    .addOption(new Option("--to <branch>").default("production"))
    .option("--json", "one JSON object instead of a sentence")
    .addHelpText(
      "after",
      "\nGITHUB_API_URL, GITHUB_REPOSITORY: as a CI job has them. FORGE_TOKEN: may write pull requests.",
    )
    .action(
      runs(async (run, { from, to, json }: { from: string; to: string; json?: boolean }) => {
        const result = await promote({ environment: process.env, from, to, signal: run.signal });
        const words = {
          opened: `opened: ${result.url}`,
          "already-open": `already open: ${result.url}`,
          nothing: `nothing to promote: ${to} has all of ${from}`,
        };
        run.print(json ? JSON.stringify(result) : words[result.outcome]);
        return exitCodes.ok;
      }),
    );
}

interface BuildOptions {
  version: string;
  stack: string;
  revision: string;
  digests: string;
  sboms: string;
}

interface BumpOptions {
  version: string;
  stack: string[];
  branch: string;
  digests: string;
  push?: boolean;
  json?: boolean;
}

function versionOption(): Option {
  return new Option("--version <tag>", "the release, such as v1.2.3")
    .argParser((tag: string) => {
      if (!/^v\d+\.\d+\.\d+$/.test(tag)) throw new InvalidArgumentError("Expected a tag such as v1.2.3.");
      return tag;
    })
    .makeOptionMandatory();
}

async function writeSbom(service: string, file: string): Promise<void> {
  // The bundler is no package of those that the trading day installs.
  const { packagesOf } = await import("./bundled-packages.ts");
  const bill = billOfMaterials(service, await packagesOf(service));
  await writeFile(file, `${JSON.stringify(bill, null, 2)}\n`);
}
