/** The HTTP API below `/v1`: authentication, rate limit, faults, errors, and the routes of every resource. */
import { randomBytes } from "node:crypto";
import type { HttpBindings } from "@hono/node-server";
import { RESPONSE_ALREADY_SENT } from "@hono/node-server/utils/response";
import { type Context, Hono } from "hono";
import { ApiError } from "./errors.ts";
import type { RequestEffect } from "./faults/rules.ts";
import type { Project } from "./model/project.ts";
import type { RateLimit } from "./rate-limit.ts";
import { addActionRoutes } from "./routes/action-routes.ts";
import { addCatalogRoutes } from "./routes/catalog-routes.ts";
import { addFirewallRoutes } from "./routes/firewall-routes.ts";
import { addNetworkRoutes } from "./routes/network-routes.ts";
import { addPlacementGroupRoutes } from "./routes/placement-group-routes.ts";
import { addPrimaryIpRoutes } from "./routes/primary-ip-routes.ts";
import { addServerRoutes, type ServerDeleted } from "./routes/server-routes.ts";
import { addSshKeyRoutes } from "./routes/ssh-key-routes.ts";

/** One answered request. */
export interface ApiAnswer {
  /** Simulated time of the answer. */
  at: Date;
  method: string;
  /** Below `/v1`, with its query. */
  path: string;
  /** 0 when the connection was dropped by a fault. */
  status: number;
}

export interface ApiArguments {
  project: Project;
  token: string;
  rateLimit: RateLimit;
  onServerDeleted: ServerDeleted;
  /** Called with every answer. @param body its text as it is sent; empty when there is none */
  onAnswer: (answer: ApiAnswer, body: string) => void;
}

const prefix = "/v1";

function pathBelow(context: Context): string {
  const { pathname, search } = new URL(context.req.url);
  return pathname.slice(prefix.length) + search;
}

/** The body as an object, for faults that look at it; what is none is judged by the route. */
async function bodyFields(context: Context): Promise<Record<string, unknown> | undefined> {
  try {
    const body: unknown = JSON.parse(await context.req.text());
    return typeof body === "object" && body !== null ? (body as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

function dropConnection(context: Context): Response {
  const { outgoing } = context.env as HttpBindings;
  outgoing.destroy();
  return RESPONSE_ALREADY_SENT;
}

/**
 * Does what a fault says to a request.
 * @param next what the API would do
 * @returns the answer in place of the API's, if any
 */
async function inject(
  project: Project,
  context: Context,
  effect: RequestEffect,
  next: () => Promise<void>,
): Promise<Response | undefined> {
  switch (effect.kind) {
    case "error": {
      if (effect.code === "rate_limit_exceeded") context.header("RateLimit-Remaining", "0");
      throw new ApiError(effect.code, effect.message ?? `injected fault: ${effect.code}`);
    }
    case "http":
      return context.html(`<html><body><h1>${effect.status}</h1></body></html>`, effect.status);
    case "late":
      await project.changes.pause(effect.ms);
      await next();
      return undefined;
    case "drop":
      if (effect.moment === "before") return dropConnection(context);
      await next();
      context.res = dropConnection(context);
      return undefined;
  }
}

/** Builds the API. */
export function createApi({ project, token, rateLimit, onServerDeleted, onAnswer }: ApiArguments): Hono {
  const app = new Hono().basePath(prefix);
  app.onError((error, context) => {
    const known =
      error instanceof ApiError ? error : new ApiError("server_error", `simulator fault: ${error.message}`);
    return context.json(known.body, known.status);
  });
  app.use(async (context, next) => {
    context.header("X-Correlation-Id", randomBytes(8).toString("hex"));
    await next();
    const dropped = context.res.headers.has("x-hono-already-sent");
    const { method } = context.req;
    onAnswer(
      {
        at: project.clock.date(),
        method,
        path: pathBelow(context),
        status: dropped ? 0 : context.res.status,
      },
      dropped ? "" : await context.res.clone().text(),
    );
  });
  app.use(async (context, next) => {
    await project.changes.pause(project.latency.duration("api_request", "api"));
    if (context.req.header("authorization") !== `Bearer ${token}`) {
      throw new ApiError("unauthorized", "unable to authenticate");
    }
    const allowed = rateLimit.take();
    for (const [name, value] of Object.entries(rateLimit.headers())) context.header(name, value);
    if (!allowed) throw new ApiError("rate_limit_exceeded", "limit of requests per hour reached");
    await next();
  });
  app.use(async (context, next) => {
    if (project.faults.none) return next();
    const [path = ""] = pathBelow(context).split("?", 1);
    const effect = project.faults.request(context.req.method, path, await bodyFields(context));
    return effect === undefined ? next() : inject(project, context, effect, next);
  });
  addActionRoutes(app, project);
  addCatalogRoutes(app, project);
  addSshKeyRoutes(app, project);
  addPlacementGroupRoutes(app, project);
  addNetworkRoutes(app, project);
  addFirewallRoutes(app, project);
  addPrimaryIpRoutes(app, project);
  addServerRoutes(app, project, onServerDeleted);
  app.all("*", (context) => {
    throw new ApiError(
      "not_found",
      `${context.req.method} ${context.req.path} is not part of the simulated API`,
    );
  });
  return app;
}
