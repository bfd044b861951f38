/**
 * `npm run --silent pulumi:install`: the Pulumi CLI for a CI runner, see pulumi-cli.ts. Where TRADING_ENGINE names another
 * engine, none is needed. Exit code 1 when it cannot be had.
 */
import { tmpdir } from "node:os";
import { installPulumi, PulumiInstallError, pulumiVersion } from "./pulumi-cli.ts";

const { TRADING_ENGINE: engine = "", GITHUB_PATH: pathFile, RUNNER_TEMP: directory = tmpdir() } = process.env;
if (engine !== "") {
  console.error(`no Pulumi CLI is needed: TRADING_ENGINE is ${engine}`);
} else {
  try {
    const platform = `${process.platform}-${process.arch}`;
    const folder = await installPulumi({ directory, platform, pathFile });
    console.error(
      `Pulumi ${pulumiVersion} is in ${folder}${pathFile === undefined ? ": add it to PATH" : ""}`,
    );
  } catch (error) {
    if (!(error instanceof PulumiInstallError)) throw error;
    console.error(error.message);
    process.exitCode = 1;
  }
}
