/** Reading requests: bodies, ids, and lists with their filters, order and pages. */
import type { Context } from "hono";
import { z } from "zod";
import { ApiError, type FieldError, invalidField, invalidInput } from "./errors.ts";
import { labelMistakes, parseLabelSelector } from "./labels.ts";

/** Labels of a request body, with all mistakes in them. */
export const labelsSchema = z.record(z.string(), z.string()).superRefine((labels, context) => {
  for (const { messages } of labelMistakes(labels)) {
    for (const message of messages) context.addIssue({ code: "custom", message });
  }
});

/** Names of all resources but servers. */
export const nameSchema = z.string().min(1).max(128);

/** The body of a change of name and labels. */
export const updateSchema = z.object({ name: nameSchema.optional(), labels: labelsSchema.optional() });

function fieldErrors(error: z.ZodError): FieldError[] {
  const fields = new Map<string, string[]>();
  for (const issue of error.issues) {
    const name = issue.path.join(".");
    fields.set(name, [...(fields.get(name) ?? []), issue.message]);
  }
  return [...fields].map(([name, messages]) => ({ name, messages }));
}

/**
 * Reads and checks a JSON body; an empty one counts as `{}`.
 * @throws ApiError `json_error`, or `invalid_input` that names every wrong field
 */
export async function readBody<T extends z.ZodType>(context: Context, schema: T): Promise<z.output<T>> {
  const text = await context.req.text();
  let body: unknown;
  try {
    body = text.trim() === "" ? {} : JSON.parse(text);
  } catch (error) {
    throw new ApiError(
      "json_error",
      `invalid JSON: ${error instanceof Error ? error.message : String(error)}`,
    );
  }
  if (typeof body !== "object" || body === null || Array.isArray(body)) {
    throw new ApiError("json_error", "the body must be a JSON object");
  }
  const parsed = schema.safeParse(body);
  if (!parsed.success) throw invalidInput(...fieldErrors(parsed.error));
  return parsed.data;
}

/** The id in the path. */
export function pathId(context: Context, parameter = "id"): number {
  return Number(context.req.param(parameter));
}

interface Page {
  page: number;
  perPage: number;
}

function readPage(context: Context): Page {
  const read = (name: string, normal: number, most: number) => {
    const text = context.req.query(name);
    if (text === undefined || text === "") return normal;
    const value = Number(text);
    if (!Number.isInteger(value) || value < 1 || value > most) {
      throw invalidField(name, `must be a whole number from 1 to ${most}`);
    }
    return value;
  };
  return { page: read("page", 1, Number.MAX_SAFE_INTEGER), perPage: read("per_page", 25, 50) };
}

/** One page of a list: https://docs.hetzner.cloud/reference/cloud#pagination */
function paginate<T>(rows: readonly T[], { page, perPage }: Page) {
  const lastPage = Math.max(1, Math.ceil(rows.length / perPage));
  return {
    rows: rows.slice((page - 1) * perPage, page * perPage),
    meta: {
      pagination: {
        page,
        per_page: perPage,
        previous_page: page > 1 ? page - 1 : null,
        next_page: page < lastPage ? page + 1 : null,
        last_page: lastPage,
        total_entries: rows.length,
      },
    },
  };
}

type Row = Record<string, unknown>;

function compare(one: unknown, other: unknown): number {
  if (typeof one === "number" && typeof other === "number") return one - other;
  // Not shown values (null) come first.
  const [left, right] = [one, other].map((value) => (typeof value === "string" ? value : ""));
  return (left ?? "") < (right ?? "") ? -1 : (left ?? "") > (right ?? "") ? 1 : 0;
}

/**
 * Answers with a list: `sort` (repeatable, `field`, `field:asc` or `field:desc`), the filters and the page of the query.
 * @param key name of the list in the answer
 * @param rows what there is, as the API shows it
 * @param sortable fields that `sort` may name
 * @param filters query parameters that must equal the field of the same name; each may be repeated (or)
 */
export function listAnswer(
  context: Context,
  key: string,
  rows: readonly object[],
  sortable: readonly string[],
  filters: readonly string[],
): Response {
  const page = readPage(context);
  let selected: Row[] = rows.map((row) => Object.fromEntries(Object.entries(row)));
  for (const filter of filters) {
    const wanted = context.req.queries(filter)?.filter((value) => value !== "") ?? [];
    if (wanted.length > 0) selected = selected.filter((row) => wanted.includes(String(row[filter])));
  }
  const selector = context.req.query("label_selector");
  if (selector !== undefined && selector !== "") {
    const selects = parseLabelSelector(selector);
    selected = selected.filter((row) => selects((row["labels"] ?? {}) as Record<string, string>));
  }
  const orders = (context.req.queries("sort") ?? []).map((order) => {
    const [, field = "", direction] = /^([a-z_]+)(?::(asc|desc))?$/.exec(order) ?? [];
    if (!sortable.includes(field)) throw invalidField("sort", `'${order}': sort by ${sortable.join(", ")}`);
    return { field, sign: direction === "desc" ? -1 : 1 };
  });
  selected.sort((one, other) => {
    for (const { field, sign } of orders) {
      const order = sign * compare(one[field], other[field]);
      if (order !== 0) return order;
    }
    return 0;
  });
  const { rows: shown, meta } = paginate(selected, page);
  return context.json({ [key]: shown, meta });
}
