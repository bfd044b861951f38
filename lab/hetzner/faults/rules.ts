/** What can be told to go wrong: the typed form of a fault plan, and its check. */
import { z } from "zod";
import { durations } from "../durations.ts";
import { type ErrorCode, errorCodes } from "../errors.ts";

/** Which of the things that a rule fits are hit. Without any field: all of them. What a rule says must hold together. */
export interface When {
  /** Only these, counted from 1 in the order in which they come. */
  nth?: readonly number[] | undefined;
  /** Each with this probability, 0 to 1; which ones follows from the plan's seed, the rule's id and the count. */
  rate?: number | undefined;
  /** At most so many. */
  times?: number | undefined;
}

/** What happens to a request. */
export type RequestEffect =
  /** A refusal in the API's own shape; nothing is done. */
  | { kind: "error"; code: ErrorCode; message?: string | undefined }
  /** An answer of something in front of the API, without the API's shape; nothing is done. */
  | { kind: "http"; status: 500 | 502 | 503 | 504 }
  /** The connection breaks: before anything is done, or after, so that only the answer is lost. */
  | { kind: "drop"; moment: "before" | "after" }
  /** The answer comes late, by so many simulated ms. */
  | { kind: "late"; ms: number };

/** Hits requests. */
export interface RequestFault {
  at: "request";
  /** Name in reports; default: its number. */
  id?: string | undefined;
  /** Default: any method. */
  method?: "GET" | "POST" | "PUT" | "DELETE" | undefined;
  /** Below `/v1`, for example `/servers/{id}/actions/poweroff`; `{id}` is any id, `*` anything. Default: any path. */
  path?: string | undefined;
  /** Fields that the JSON body must have, for example `{server_type: "cpx32", location: "fsn1"}`; texts may hold `*`. */
  body?: Readonly<Record<string, string | number | boolean>> | undefined;
  when?: When | undefined;
  effect: RequestEffect;
}

/** What happens to an action: it ends in error, and nothing of what it was for is done; or it takes longer. */
export interface ActionEffect {
  /** Default: it ends well. */
  error?: { code: string; message: string } | undefined;
  /** Its duration in simulated ms in place of the model's. */
  takesMs?: number | undefined;
  /** Its duration as a multiple of the model's. */
  factor?: number | undefined;
}

/** Hits asynchronous actions. */
export interface ActionFault {
  at: "action";
  id?: string | undefined;
  /** As the API names it, for example `create_server`; may hold `*`. */
  command: string;
  /** Name of one of the resources it is about; may hold `*`. Default: any. */
  resource?: string | undefined;
  when?: When | undefined;
  effect: ActionEffect;
}

/** What happens to a server that boots. */
export type BootEffect =
  /** The system never gets further: no SSH; SSH, but cloud-init never ends; or cloud-init ends, but k3s never starts. */
  | { kind: "hangs"; at: "ssh" | "cloud-init" | "k3s" }
  /** Nothing listens on the SSH port for so many simulated ms from the time it would; the boot itself goes on. */
  | { kind: "ssh-refused"; ms: number };

/** Hits boots: each time a server gets power. */
export interface BootFault {
  at: "boot";
  id?: string | undefined;
  /** Name of the server; may hold `*`. Default: any. */
  server?: string | undefined;
  when?: When | undefined;
  effect: BootEffect;
}

export type FaultRule = RequestFault | ActionFault | BootFault;

/** What goes wrong. When several rules hit one thing, the first one decides, for actions each kind of effect apart. */
export interface FaultPlan {
  /** For rules with a rate. Default: 1. */
  seed?: number | undefined;
  rules: readonly FaultRule[];
}

/** A fault plan is not one. */
export class FaultPlanError extends Error {
  override readonly name = "FaultPlanError";
  /** Each names the field and what is expected there. */
  readonly mistakes: readonly string[];

  constructor(mistakes: readonly string[]) {
    super(`Hetzner simulator: wrong fault plan: ${mistakes.join("; ")}`);
    this.mistakes = mistakes;
  }
}

const when = z
  .strictObject({
    nth: z.array(z.number().int().min(1)).min(1).optional(),
    rate: z.number().min(0).max(1).optional(),
    times: z.number().int().min(1).optional(),
  })
  .optional();
const id = z.string().min(1).optional();
const ms = z.number().min(0);

const rule = z.discriminatedUnion("at", [
  z.strictObject({
    at: z.literal("request"),
    id,
    method: z.enum(["GET", "POST", "PUT", "DELETE"]).optional(),
    path: z
      .string()
      .regex(/^(\/|\*)/, { error: "must begin with / or *" })
      .optional(),
    body: z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])).optional(),
    when,
    effect: z.discriminatedUnion("kind", [
      z.strictObject({ kind: z.literal("error"), code: z.enum(errorCodes), message: z.string().optional() }),
      z.strictObject({
        kind: z.literal("http"),
        status: z.union([z.literal(500), z.literal(502), z.literal(503), z.literal(504)]),
      }),
      z.strictObject({ kind: z.literal("drop"), moment: z.enum(["before", "after"]) }),
      z.strictObject({ kind: z.literal("late"), ms }),
    ]),
  }),
  z.strictObject({
    at: z.literal("action"),
    id,
    command: z.string().refine((command) => command.includes("*") || command in durations, {
      error: ({ input }) => `no action of the simulator is named '${String(input)}'`,
    }),
    resource: z.string().optional(),
    when,
    effect: z
      .strictObject({
        error: z.strictObject({ code: z.string().min(1), message: z.string() }).optional(),
        takesMs: ms.optional(),
        factor: ms.optional(),
      })
      .refine((effect) => Object.values(effect).some((value) => value !== undefined), {
        error: "needs error, takesMs or factor",
      }),
  }),
  z.strictObject({
    at: z.literal("boot"),
    id,
    server: z.string().optional(),
    when,
    effect: z.discriminatedUnion("kind", [
      z.strictObject({ kind: z.literal("hangs"), at: z.enum(["ssh", "cloud-init", "k3s"]) }),
      z.strictObject({ kind: z.literal("ssh-refused"), ms }),
    ]),
  }),
]);

const plan = z.strictObject({ seed: z.number().int().optional(), rules: z.array(rule) });

/**
 * Checks a fault plan that came from outside.
 * @throws FaultPlanError that names every mistake
 */
export function parseFaultPlan(value: unknown): FaultPlan {
  const parsed = plan.safeParse(value);
  if (parsed.success) return parsed.data;
  const mistakes = parsed.error.issues.map(({ path, message }) => `${path.join(".") || "plan"}: ${message}`);
  throw new FaultPlanError(mistakes);
}
