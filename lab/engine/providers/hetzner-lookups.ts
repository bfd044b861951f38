/** Ids of what a new server refers to by name. */
import { ProviderError } from "../errors.ts";
import type { HetznerClient } from "./hetzner-client.ts";
import { findByName } from "./hetzner-named.ts";

type Thing = Record<string, unknown>;

/** The id of an image of this name for the server type's architecture, as the real provider looks it up. */
export async function imageId(
  client: HetznerClient,
  name: string,
  serverType: string,
  allowDeprecated: boolean,
  signal: AbortSignal,
): Promise<number> {
  if (/^\d+$/.test(name)) return Number(name);
  const type = await findByName(client, "server_types", serverType, signal);
  if (type === undefined) {
    throw new ProviderError("not-found", `there is no server type "${serverType}"`);
  }
  const architecture = String(type["architecture"]);
  const images = await client.list(
    "images",
    { architecture, include_deprecated: "true", name: name },
    signal,
  );
  const image = images.find((candidate) => candidate["name"] === name);
  if (image === undefined) {
    throw new ProviderError("not-found", `there is no image "${name}" for ${architecture}`);
  }
  if ((image["deprecated"] ?? null) !== null && !allowDeprecated) {
    throw new ProviderError(
      "image-deprecated",
      `the image "${name}" is deprecated; take another, or set allowDeprecatedImages`,
    );
  }
  return Number(image["id"]);
}

/** The ids of SSH keys given by id or name. */
export async function sshKeyIds(
  client: HetznerClient,
  keys: readonly string[],
  signal: AbortSignal,
): Promise<number[]> {
  return Promise.all(
    keys.map(async (key) => {
      const byId = /^\d+$/.test(key)
        ? (await client.find("GET", `/ssh_keys/${key}`, signal))?.["ssh_key"]
        : undefined;
      const found = (byId as Thing | undefined) ?? (await findByName(client, "ssh_keys", key, signal));
      if (found === undefined) throw new ProviderError("not-found", `there is no SSH key "${key}"`);
      return Number(found["id"]);
    }),
  );
}
