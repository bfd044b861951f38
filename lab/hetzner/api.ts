/** The HTTP API below `/v1`: authentication, rate limit, errors, and the routes of every resource. */
import { Hono } from "hono";
import { ApiError } from "./errors.ts";
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

export interface ApiArguments {
  project: Project;
  token: string;
  rateLimit: RateLimit;
  onServerDeleted: ServerDeleted;
}

/** Builds the API. */
export function createApi({ project, token, rateLimit, onServerDeleted }: ApiArguments): Hono {
  const app = new Hono().basePath("/v1");
  app.onError((error, context) => {
    const known =
      error instanceof ApiError ? error : new ApiError("server_error", `simulator fault: ${error.message}`);
    return context.json(known.body, known.status);
  });
  app.use(async (context, next) => {
    if (context.req.header("authorization") !== `Bearer ${token}`) {
      throw new ApiError("unauthorized", "unable to authenticate");
    }
    const allowed = rateLimit.take();
    for (const [name, value] of Object.entries(rateLimit.headers())) context.header(name, value);
    if (!allowed) throw new ApiError("rate_limit_exceeded", "limit of requests per hour reached");
    await next();
  });
  addActionRoutes(app, project);
  addCatalogRoutes(app);
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
