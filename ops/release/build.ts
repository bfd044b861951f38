/** Builds and pushes the images of a release with buildah, where there is neither a daemon nor a privileged container. */
import { spawn } from "node:child_process";
import { mkdir } from "node:fs/promises";
import path from "node:path";
import type { ReleaseImage } from "./images.ts";

/** A build or a push failed; buildah's own words stand above. */
export class BuildError extends Error {
  override readonly name = "BuildError";
}

export interface BuildArguments {
  /** With the Dockerfile. */
  directory: string;
  images: readonly ReleaseImage[];
  version: string;
  /** The commit. */
  revision: string;
  /** Receives a file for each service with its image's digest. */
  digests: string;
  /** REGISTRY_USER and REGISTRY_PASSWORD, both or neither. */
  environment: Readonly<Record<string, string | undefined>>;
  signal: AbortSignal;
  note: (line: string) => void;
}

/** @throws BuildError; nothing is undone: what is pushed is not named anywhere before `release bump` */
export async function buildImages(args: BuildArguments): Promise<void> {
  const { images, version, revision, digests, directory, environment } = args;
  const { REGISTRY_USER: user = "", REGISTRY_PASSWORD: password = "" } = environment;
  await mkdir(digests, { recursive: true });
  const registry = images[0]?.image.split("/")[0] ?? "";
  // On standard input: arguments can be read by everybody on the machine.
  if (user !== "") await buildah(args, ["login", "--username", user, "--password-stdin", registry], password);
  for (const { service, image } of images) {
    args.note(`building ${image}`);
    const values = { SERVICE: service, VERSION: version, REVISION: revision };
    const settings = Object.entries(values).flatMap(([name, value]) => ["--build-arg", `${name}=${value}`]);
    await buildah(args, ["build", "--format", "oci", ...settings, "--tag", image, directory]);
    await buildah(args, ["push", "--digestfile", path.resolve(digests, service), image]);
  }
}

function buildah(
  { signal, environment }: BuildArguments,
  words: readonly string[],
  input = "",
): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn("buildah", words, { env: environment, stdio: ["pipe", 2, "inherit"], signal });
    const what = `\`buildah ${words[0]}\``;
    child.once("error", (error: NodeJS.ErrnoException) => {
      const missing = `${what}: there is no buildah on PATH. Install it: https://github.com/containers/buildah.`;
      reject(error.code === "ENOENT" ? new BuildError(missing) : error);
    });
    child.once("close", (code) => {
      if (code === 0) resolve();
      else reject(new BuildError(`${what} failed with exit code ${code}: ${words.at(-1)}`));
    });
    // Who does not read it has ended, and says so by its exit code.
    child.stdin?.on("error", () => undefined).end(input);
  });
}
