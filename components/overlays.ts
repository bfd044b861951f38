/**
 * What differs between the places where the services run: one row an overlay of `k8s/overlays`. Little does, because dev
 * and prod are to run the same (seed 000): the images, and resources where a row says so.
 */
import type { Deployable, Quantities } from "../services/catalog.ts";
import { serviceImages } from "./versions.ts";
import { type Images, services, type WorkloadObject, workloadObjects } from "./workloads.ts";

/**
 * Resources of one service in one overlay, over those of its row in the catalog. Only what fits beside the rest: the
 * namespaces' quotas and the nodes' sums are computed from the catalog, and `npm run check:cluster` has the real scheduler judge.
 */
export interface ResourceChanges {
  requests?: Partial<Quantities>;
  limits?: Partial<Quantities>;
}

/** One overlay. */
export interface Overlay {
  /** Which images run: those that `trading:images` of the stack's file names, or these. */
  images: Images | "of the stack's file";
  /** By service. Default: none. */
  resources?: Readonly<Record<string, ResourceChanges>>;
}

/** The overlays by name. Those of a stack have the stack's name. */
export const overlays = {
  dev: { images: "of the stack's file" },
  // Has no stack of its own: it is there for a cluster of any stack whose `trading:gitops` names its path. It runs the
  // release that versions.ts names, so what a stack's file pins for the time being does not reach it.
  staging: { images: serviceImages },
  prod: { images: "of the stack's file" },
} as const satisfies Readonly<Record<string, Overlay>>;

/** Label on every object of an overlay, with the overlay's name. */
export const overlayLabel = "trading/stack";

/** A service with an overlay's resources. */
export function withResources(service: Deployable, changes: ResourceChanges | undefined): Deployable {
  return {
    ...service,
    requests: { ...service.requests, ...changes?.requests },
    limits: { ...service.limits, ...changes?.limits },
  };
}

/** Resources for services that do not run all day, or not at all, would change nothing. */
function demandKnownServices(name: string, overlay: Overlay): void {
  const known = services.map((service) => service.name);
  const unknown = Object.keys(overlay.resources ?? {}).filter((service) => !known.includes(service));
  if (unknown.length === 0) return;
  throw new Error(
    `overlay ${name}, resources: found ${unknown.join(", ")}, expected services of the catalog that run all day: ` +
      `${known.join(", ")}. Correct the names in components/overlays.ts.`,
  );
}

/**
 * All objects of the services as an overlay has them. `kubectl kustomize k8s/overlays/<name>` gives the same, and with
 * `delivery: direct` Pulumi applies them.
 * @param name of the overlay or the stack; one without a row in `overlays` has nothing special.
 * @param images that run there
 * @param overlay Default: the row of that name.
 * @throws Error when the overlay has resources for what is no service
 */
export function overlayObjects(
  name: string,
  images: Images,
  overlay: Overlay | undefined = (overlays as Readonly<Record<string, Overlay | undefined>>)[name],
): WorkloadObject[] {
  if (overlay !== undefined) demandKnownServices(name, overlay);
  return services.flatMap((service) =>
    workloadObjects(withResources(service, overlay?.resources?.[service.name]), images).map((object) => ({
      ...object,
      metadata: { ...object.metadata, labels: { ...object.metadata.labels, [overlayLabel]: name } },
    })),
  );
}
