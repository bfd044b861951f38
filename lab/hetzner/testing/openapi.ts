/** Checks answers against Hetzner's own OpenAPI document, where it is at hand. */
import { existsSync, readFileSync } from "node:fs";
import { Ajv2020, type ValidateFunction } from "ajv/dist/2020.js";

/** The document, beside the repository; it is not part of it. */
const file = new URL("../../../../shared/data/hcloud-openapi.json", import.meta.url);

type Schema = Record<string, unknown>;

interface Operation {
  responses?: Record<string, { content?: Record<string, { schema?: Schema }> }>;
}

interface OpenApiDocument {
  paths: Record<string, Record<string, Operation>>;
  components: { schemas: Record<string, Schema> };
}

export const openApiAvailable = existsSync(file);

/**
 * Fields that the document, of early 2026, still requires and that the API has removed since: datacenters
 * (https://docs.hetzner.cloud/changelog, 2026-07-01).
 */
const removed = ["datacenter"];

/**
 * Values that the API answers with since, which the document does not know:
 * https://docs.hetzner.cloud/changelog#2026-04-27-primary-ips-will-return-unassigned
 */
const added: Readonly<Record<string, readonly string[]>> = { assignee_type: ["unassigned"] };

/** Paths that came after the document: hcloud-go 2.49, "list network members". */
const newer: readonly RegExp[] = [/^\/networks\/\d+\/members$/];

/** OpenAPI 3.0 to JSON Schema: `nullable`, and references to where the schemas are kept here. */
function convert(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(convert);
  if (typeof value !== "object" || value === null) return value;
  const schema = Object.fromEntries(
    Object.entries(value).flatMap(([key, inner]): [string, unknown][] => {
      if (key === "nullable" || key === "example" || key === "examples" || key === "discriminator") return [];
      if (key === "$ref") return [[key, String(inner).replace("#/components/schemas/", "#/$defs/")]];
      if (key === "required" && Array.isArray(inner))
        return [[key, inner.filter((name) => !removed.includes(String(name)))]];
      if (key === "properties") return [[key, properties(inner)]];
      return [[key, convert(inner)]];
    }),
  );
  return "nullable" in value && value.nullable === true ? { anyOf: [{ type: "null" }, schema] } : schema;
}

function properties(value: unknown): unknown {
  const converted = convert(value) as Record<string, { enum?: unknown[] }>;
  for (const [name, values] of Object.entries(added)) converted[name]?.enum?.push(...values);
  return converted;
}

/** Validates answers by path, method and status. */
export class OpenApiChecker {
  readonly #document: OpenApiDocument;
  readonly #ajv = new Ajv2020({ strict: false, allErrors: true, validateFormats: false });
  readonly #compiled = new Map<string, ValidateFunction>();
  /** What was checked, as `GET /servers/{id} 200`. */
  readonly checked = new Set<string>();

  constructor() {
    this.#document = JSON.parse(readFileSync(file, "utf8")) as OpenApiDocument;
    this.#ajv.addSchema({ $id: "hetzner", $defs: convert(this.#document.components.schemas) as Schema });
  }

  /** The operations of some kinds of resource: name (`GET /servers/{id}`), method, path, and the status of success. */
  operations(kinds: readonly string[]) {
    return Object.entries(this.#document.paths)
      .filter(([template]) => kinds.includes(template.split("/")[1] ?? ""))
      .flatMap(([template, methods]) =>
        Object.entries(methods).flatMap(([method, { responses }]) => {
          const success = Object.keys(responses ?? {}).find((status) => status.startsWith("2"));
          if (success === undefined) return [];
          const upper = method.toUpperCase();
          return [{ name: `${upper} ${template}`, method: upper, template, success }];
        }),
      );
  }

  /** The template of the document that a path is one of; literal parts win over parameters. */
  #template(path: string): string | undefined {
    const parts = path.split("/");
    return Object.keys(this.#document.paths)
      .filter((template) => {
        const pieces = template.split("/");
        return (
          pieces.length === parts.length &&
          pieces.every(
            (piece, index) =>
              piece === parts[index] || (piece.startsWith("{") && /^\d+$/.test(parts[index] ?? "")),
          )
        );
      })
      .sort((one, other) => one.split("{").length - other.split("{").length)[0];
  }

  /**
   * @param path with its query, below `/v1`
   * @returns the mistakes; none when the answer is as the document says
   */
  check(method: string, path: string, status: number, body: unknown): string[] {
    const [bare = ""] = path.split("?", 1);
    if (newer.some((pattern) => pattern.test(bare)) && status < 400) return [];
    const template = this.#template(bare);
    if (template === undefined) return [`${path} is not in the document`];
    const responses = this.#document.paths[template]?.[method.toLowerCase()]?.responses;
    const key = responses?.[String(status)] === undefined ? `${String(status)[0]}xx` : String(status);
    const response = responses?.[key];
    const name = `${method} ${template} ${key}`;
    if (response === undefined) return [`${name} is not in the document`];
    this.checked.add(name);
    const schema = response.content?.["application/json"]?.schema;
    if (schema === undefined) return body === null ? [] : [`${name} has no body in the document`];
    let validate = this.#compiled.get(name);
    if (validate === undefined) {
      const text = JSON.stringify(convert(schema)).replaceAll('"#/$defs/', '"hetzner#/$defs/');
      validate = this.#ajv.compile(JSON.parse(text) as Schema);
      this.#compiled.set(name, validate);
    }
    if (validate(body)) return [];
    return (validate.errors ?? []).map((error) => `${name}: ${error.instancePath} ${error.message}`);
  }
}
