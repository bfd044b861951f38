/** What can be ordered: server types, images, locations, prices; and the kinds of resource that this project never has. */
import type { Hono } from "hono";
import { images, imageView } from "../catalog/images.ts";
import { locations } from "../catalog/locations.ts";
import { otherPrices, price, primaryIpPrices, vatPercent } from "../catalog/prices.ts";
import { serverTypes, serverTypeView } from "../catalog/server-types.ts";
import { ApiError, notFound } from "../errors.ts";
import type { Project } from "../model/project.ts";
import { listAnswer, pathId } from "../request.ts";

function pricing() {
  const everywhere = (monthly: number) =>
    locations.map(({ name }) => ({ location: name, price_monthly: price(monthly) }));
  return {
    currency: "EUR",
    vat_rate: vatPercent.toFixed(6),
    image: { price_per_gb_month: price(otherPrices.image) },
    volume: { price_per_gb_month: price(otherPrices.volume) },
    floating_ip: { price_monthly: price(otherPrices.floatingIp.ipv4) },
    floating_ips: (["ipv4", "ipv6"] as const).map((type) => ({
      type,
      prices: everywhere(otherPrices.floatingIp[type]),
    })),
    primary_ips: (["ipv4", "ipv6"] as const).map((type) => ({
      type,
      prices: locations.map(({ name }) => ({
        location: name,
        price_hourly: price(primaryIpPrices[type].hourly),
        price_monthly: price(primaryIpPrices[type].monthly),
      })),
    })),
    server_backup: { percentage: otherPrices.serverBackupPercent.toFixed(6) },
    server_types: serverTypes.map((type) => ({
      id: type.id,
      name: type.name,
      prices: serverTypeView(type).prices,
    })),
    load_balancer_types: [],
  };
}

/** Billable kinds that are not simulated: they can be looked for, and there are none. */
const absent = ["volumes", "floating_ips", "load_balancers", "certificates"] as const;

export function addCatalogRoutes(app: Hono, project: Project): void {
  const typeViews = () => serverTypes.map((type) => serverTypeView(type, project.stock.offers(type)));
  app.get("/server_types", (context) =>
    listAnswer(context, "server_types", typeViews(), ["id", "name"], ["name"]),
  );
  app.get("/server_types/:id{[0-9]+}", (context) => {
    const found = typeViews().find(({ id }) => id === pathId(context));
    if (found === undefined) throw notFound("server_type", pathId(context));
    return context.json({ server_type: found });
  });

  app.get("/locations", (context) => listAnswer(context, "locations", locations, ["id", "name"], ["name"]));
  app.get("/locations/:id{[0-9]+}", (context) => {
    const location = locations.find(({ id }) => id === pathId(context));
    if (location === undefined) throw notFound("location", pathId(context));
    return context.json({ location });
  });

  for (const path of ["/datacenters", "/datacenters/:id{[0-9]+}"]) {
    // https://docs.hetzner.cloud/changelog#2026-06-02-datacenters-deprecated: 410 after 2026-10-01.
    app.get(path, () => {
      throw new ApiError("deprecated_api_endpoint", "datacenters were removed: use /locations");
    });
  }

  app.get("/images", (context) => {
    const deprecatedToo = context.req.query("include_deprecated") === "true";
    const shown = images.filter((image) => deprecatedToo || image.deprecated === null).map(imageView);
    return listAnswer(
      context,
      "images",
      shown,
      ["id", "name", "created"],
      ["name", "type", "status", "architecture", "bound_to"],
    );
  });
  app.get("/images/:id{[0-9]+}", (context) => {
    const image = images.find(({ id }) => id === pathId(context));
    if (image === undefined) throw notFound("image", pathId(context));
    return context.json({ image: imageView(image) });
  });

  app.get("/pricing", (context) => context.json({ pricing: pricing() }));

  for (const kind of absent) {
    app.get(`/${kind}`, (context) => listAnswer(context, kind, [], ["id", "name"], ["name"]));
    app.get(`/${kind}/:id{[0-9]+}`, (context) => {
      throw notFound(kind, pathId(context));
    });
    app.post(`/${kind}`, () => {
      throw new ApiError("unsupported_error", `the lab's Hetzner simulator does not simulate ${kind}`);
    });
  }
}
