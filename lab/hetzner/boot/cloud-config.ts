/**
 * Reads user data as cloud-init would, as far as a node of ours uses it.
 * https://cloudinit.readthedocs.io/en/latest/reference/modules.html
 */
import { gunzipSync } from "node:zlib";
import { parseDocument } from "yaml";
import { z } from "zod";

/** A file that cloud-init writes. */
export interface WrittenFile {
  readonly content: string;
  /** File mode, for example 0o755. */
  readonly mode: number;
}

/** What user data makes of a fresh server. */
export interface ParsedUserData {
  hostname: string | undefined;
  /** Host keys by type: only Ed25519 is used here. OpenSSH or PEM text. */
  hostKey: string | undefined;
  /** Authorized keys by user, as OpenSSH lines. Keys without a user are root's, as in Hetzner's images. */
  authorizedKeys: ReadonlyMap<string, readonly string[]>;
  files: ReadonlyMap<string, WrittenFile>;
  /** Commands in order: a list is an argument vector, a string is for a shell. */
  commands: readonly (string | readonly string[])[];
  /** What cloud-init warns of (`recoverable_errors`); it goes on without the part that is wrong. */
  warnings: readonly string[];
}

const scalar = z.union([z.string(), z.number(), z.boolean()]).transform(String);
const strings = z.union([z.array(z.string()), z.string().transform((one) => [one])]);

const fileSchema = z.object({
  path: z.string().min(1),
  content: z.string().default(""),
  encoding: z
    .enum(["text/plain", "b64", "base64", "gz", "gzip", "gz+b64", "gz+base64", "gzip+b64", "gzip+base64"])
    .default("text/plain"),
  // YAML 1.1 readers make a number of an unquoted 0755, as Python does; cloud-init takes it as the mode then.
  permissions: z.union([z.string().regex(/^0?o?[0-7]{3,4}$/), z.number().int()]).default("0644"),
  append: z.boolean().default(false),
});

const sections = {
  hostname: z.string(),
  ssh_keys: z.looseObject({ ed25519_private: z.string().optional() }),
  ssh_authorized_keys: strings,
  users: z.array(
    z.union([z.string(), z.looseObject({ name: z.string(), ssh_authorized_keys: strings.optional() })]),
  ),
  write_files: z.array(fileSchema),
  runcmd: z.array(z.union([z.string(), z.array(scalar).min(1)])),
} as const;

function fileContent(content: string, encoding: string): string {
  const parts = encoding.split("+");
  let bytes = Buffer.from(
    content,
    parts.some((part) => part === "b64" || part === "base64") ? "base64" : "utf8",
  );
  if (parts.some((part) => part === "gz" || part === "gzip")) bytes = gunzipSync(bytes);
  return bytes.toString("utf8");
}

function fileMode(permissions: string | number): number {
  return typeof permissions === "number" ? permissions : parseInt(permissions.replace("o", ""), 8);
}

function nothing(warnings: string[] = []): ParsedUserData {
  return {
    hostname: undefined,
    hostKey: undefined,
    authorizedKeys: new Map(),
    files: new Map(),
    commands: [],
    warnings,
  };
}

/** Parses user data. Mistakes never throw: cloud-init boots the server all the same and reports them. */
export function parseUserData(userData: string): ParsedUserData {
  const header = userData.split("\n", 1)[0]?.trim() ?? "";
  if (userData.trim() === "") return nothing();
  if (header.startsWith("#!")) return { ...nothing(), commands: [[userData]] };
  if (header !== "#cloud-config") {
    return nothing([`Unhandled non-multipart (text/x-not-multipart) userdata: '${header.slice(0, 40)}...'`]);
  }
  let root: unknown;
  try {
    const document = parseDocument(userData, { version: "1.1" });
    const [mistake] = document.errors;
    if (mistake !== undefined) throw mistake;
    // An alias without an anchor is found only here.
    root = document.toJS();
  } catch (error) {
    const [reason] = (error instanceof Error ? error.message : String(error)).split("\n");
    return nothing([`Failed loading yaml blob. ${reason}`]);
  }
  if (typeof root !== "object" || root === null || Array.isArray(root)) {
    return nothing(["Failed loading yaml blob. Yaml load allows a mapping at the top level only"]);
  }
  const warnings: string[] = [];
  const values = root as Record<string, unknown>;
  const section = <K extends keyof typeof sections>(key: K): z.output<(typeof sections)[K]> | undefined => {
    if (values[key] === undefined || values[key] === null) return undefined;
    const parsed = sections[key].safeParse(values[key]);
    if (parsed.success) return parsed.data as z.output<(typeof sections)[K]>;
    for (const issue of parsed.error.issues) {
      warnings.push(
        `cloud-config failed schema validation! ${[key, ...issue.path].join(".")}: ${issue.message}`,
      );
    }
    return undefined;
  };

  const authorizedKeys = new Map<string, string[]>();
  const authorize = (user: string, keys: readonly string[]) =>
    authorizedKeys.set(user, [...(authorizedKeys.get(user) ?? []), ...keys]);
  authorize("root", section("ssh_authorized_keys") ?? []);
  for (const user of section("users") ?? []) {
    if (typeof user !== "string") authorize(user.name, user.ssh_authorized_keys ?? []);
  }

  const files = new Map<string, WrittenFile>();
  for (const file of section("write_files") ?? []) {
    try {
      const content = fileContent(file.content, file.encoding);
      const before = file.append ? (files.get(file.path)?.content ?? "") : "";
      files.set(file.path, { content: before + content, mode: fileMode(file.permissions) });
    } catch (error) {
      warnings.push(`write_files: ${file.path}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  return {
    hostname: section("hostname"),
    hostKey: section("ssh_keys")?.ed25519_private,
    authorizedKeys,
    files,
    commands: section("runcmd") ?? [],
    warnings,
  };
}
