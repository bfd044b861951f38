/**
 * The lab's own handle on the simulator, on a port of its own and on loopback only. Nothing here is part of Hetzner's
 * API: no client of a cloud knows it, and everything is below `/lab`. It takes the same token.
 *
 * - `GET /lab/faults` → `{"faults": [{id, rule, fitted, hit}]}`; `POST /lab/faults` takes a fault plan → `{"ids": []}`;
 *   `DELETE /lab/faults` and `DELETE /lab/faults/{id}` → `{"removed": n}`
 * - `GET /lab/clock` → `{"now", "speed"}`; `POST /lab/clock/advance` takes `{"ms": n}`
 * - `PUT /lab/stock` takes `{"cpx32": {"fsn1": "sold-out"}}`
 * - `GET /lab/bill`, `GET /lab/timeline`, `GET /lab/requests`
 *
 * Mistakes are answered with 400 and `{"mistake": "…"}`.
 */
import { Hono } from "hono";
import { z } from "zod";
import type { ApiAnswer } from "./api.ts";
import { StockError } from "./catalog/stock.ts";
import { FaultPlanError, parseFaultPlan } from "./faults/rules.ts";
import type { Project } from "./model/project.ts";

export interface ControlArguments {
  project: Project;
  token: string;
  /** Every answer of the API so far. */
  requests: () => readonly ApiAnswer[];
}

const availability = z.enum(["available", "sold-out", "announced", "retired"]);
const stockSchema = z.record(z.string(), z.record(z.string(), availability));
const advanceSchema = z.strictObject({ ms: z.number().min(0) });

/** Builds the control endpoint. */
export function createControl({ project, token, requests }: ControlArguments): Hono {
  const app = new Hono().basePath("/lab");
  app.onError((error, context) => {
    const mistake =
      error instanceof z.ZodError
        ? error.issues.map(({ path, message }) => `${path.join(".") || "body"}: ${message}`).join("; ")
        : error.message;
    const known =
      error instanceof z.ZodError ||
      error instanceof FaultPlanError ||
      error instanceof StockError ||
      error instanceof SyntaxError;
    return context.json({ mistake }, known ? 400 : 500);
  });
  app.use(async (context, next) => {
    if (context.req.header("authorization") !== `Bearer ${token}`)
      return context.json({ mistake: "the simulator's token is missing" }, 401);
    await next();
    return undefined;
  });

  app.get("/faults", (context) => context.json({ faults: project.faults.report() }));
  app.post("/faults", async (context) => {
    const plan = parseFaultPlan(await context.req.json());
    return context.json({ ids: project.faults.add(plan) }, 201);
  });
  app.delete("/faults", (context) => context.json({ removed: project.faults.remove() }));
  app.delete("/faults/:id", (context) =>
    context.json({ removed: project.faults.remove(context.req.param("id")) }),
  );

  app.get("/clock", (context) => context.json({ now: project.clock.date(), speed: project.clock.speed }));
  app.post("/clock/advance", async (context) => {
    const { ms } = advanceSchema.parse(await context.req.json());
    project.advance(ms);
    return context.json({ now: project.clock.date(), speed: project.clock.speed });
  });

  app.put("/stock", async (context) => {
    project.stock.change(stockSchema.parse(await context.req.json()));
    return context.json({});
  });

  app.get("/bill", (context) => context.json(project.ledger.bill()));
  app.get("/timeline", (context) => context.json({ spans: project.timeline.spans() }));
  app.get("/requests", (context) => context.json({ requests: requests() }));
  app.all("*", (context) =>
    context.json({ mistake: `${context.req.method} ${context.req.path} is not known` }, 404),
  );
  return app;
}
