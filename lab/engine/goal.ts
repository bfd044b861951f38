/** Reads a RegisterResource request: what the program wants, with every option we do not do refused by name. */
import type resourcePb from "@pulumi/pulumi/proto/resource_pb.js";
import { UnsupportedError } from "./errors.ts";
import { fromStruct, type PropertyMap } from "./properties.ts";
import type { CustomTimeouts, Declared } from "./state.ts";

/** One alias as the program gave it: a whole URN, or the parts that differ. */
export type AliasSpecification =
  | { urn: string }
  | {
      name?: string;
      type?: string;
      stack?: string;
      project?: string;
      parentUrn?: string;
      noParent?: boolean;
    };

/** What the program wants to exist. */
export interface Goal {
  type: string;
  name: string;
  custom: boolean;
  parent?: string;
  provider?: string;
  inputs: PropertyMap;
  dependencies: string[];
  propertyDependencies: Record<string, string[]>;
  deletedWith?: string;
  protect: boolean;
  /** Its deletion only forgets it. */
  retainOnDelete: boolean;
  /** Undefined leaves the choice to the provider. */
  deleteBeforeReplace?: boolean;
  ignoreChanges: string[];
  replaceOnChanges: string[];
  additionalSecretOutputs: string[];
  aliases: AliasSpecification[];
  customTimeouts?: CustomTimeouts;
}

/**
 * @param unknowns whether inputs may be unknown: only in a preview
 * @throws UnsupportedError
 */
export function readGoal(
  request: resourcePb.RegisterResourceRequest,
  unknowns: "refused" | "allowed" = "refused",
): Goal {
  const type = request.getType();
  const name = request.getName();
  const where = `${type} "${name}"`;
  const refuse = (option: string, present: boolean): void => {
    if (present) throw new UnsupportedError(option, where);
  };
  refuse("remote component", request.getRemote());
  refuse("import", request.getImportid() !== "");
  refuse("replaceWith", request.getReplaceWithList().length > 0);
  refuse("replacementTrigger", request.hasReplacementTrigger());
  refuse("transforms", request.getTransformsList().length > 0);
  refuse("parameterized package", request.getPackageref() !== "");
  refuse("envVarMappings", request.getEnvvarmappingsMap().getLength() > 0);
  refuse("pluginDownloadURL", request.getPlugindownloadurl() !== "");
  const hooks = request.getHooks()?.toObject();
  if (hooks !== undefined) {
    for (const [key, names] of Object.entries(hooks)) {
      refuse(`hooks.${key.replace(/List$/, "")}`, names.length > 0);
    }
  }
  const timeouts = request.getCustomtimeouts();
  const customTimeouts: CustomTimeouts = {
    ...(timeouts?.getCreate() ? { create: timeouts.getCreate() } : {}),
    ...(timeouts?.getUpdate() ? { update: timeouts.getUpdate() } : {}),
    ...(timeouts?.getDelete() ? { delete: timeouts.getDelete() } : {}),
  };
  const propertyDependencies: Record<string, string[]> = {};
  for (const [property, dependencies] of request.getPropertydependenciesMap().entries()) {
    if (dependencies.getUrnsList().length > 0) propertyDependencies[property] = dependencies.getUrnsList();
  }
  return {
    type,
    name,
    custom: request.getCustom(),
    ...(request.getParent() === "" ? {} : { parent: request.getParent() }),
    ...(request.getProvider() === "" ? {} : { provider: request.getProvider() }),
    inputs: fromStruct(request.getObject(), where, unknowns),
    dependencies: request.getDependenciesList(),
    propertyDependencies,
    ...(request.getDeletedwith() === "" ? {} : { deletedWith: request.getDeletedwith() }),
    protect: request.getProtect() === true,
    retainOnDelete: request.getRetainondelete() === true,
    ...(request.getDeletebeforereplacedefined()
      ? { deleteBeforeReplace: request.getDeletebeforereplace() }
      : {}),
    ignoreChanges: request.getIgnorechangesList(),
    replaceOnChanges: request.getReplaceonchangesList(),
    additionalSecretOutputs: request.getAdditionalsecretoutputsList(),
    aliases: [
      ...request.getAliasurnsList().map((urn) => ({ urn })),
      ...request.getAliasesList().map((alias): AliasSpecification => {
        const spec = alias.getSpec();
        if (spec === undefined) return { urn: alias.getUrn() };
        return {
          ...(spec.getName() === "" ? {} : { name: spec.getName() }),
          ...(spec.getType() === "" ? {} : { type: spec.getType() }),
          ...(spec.getStack() === "" ? {} : { stack: spec.getStack() }),
          ...(spec.getProject() === "" ? {} : { project: spec.getProject() }),
          ...(spec.getParenturn() === "" ? {} : { parentUrn: spec.getParenturn() }),
          ...(spec.getNoparent() ? { noParent: true } : {}),
        };
      }),
    ],
    ...(Object.keys(customTimeouts).length === 0 ? {} : { customTimeouts }),
  };
}

/** The goal as the state keeps it, with checked inputs. */
export function declared(urn: string, goal: Goal, inputs: PropertyMap): Declared {
  return {
    urn,
    type: goal.type,
    name: goal.name,
    custom: goal.custom,
    ...(goal.parent === undefined ? {} : { parent: goal.parent }),
    ...(goal.provider === undefined ? {} : { provider: goal.provider }),
    inputs,
    dependencies: goal.dependencies,
    propertyDependencies: goal.propertyDependencies,
    ...(goal.deletedWith === undefined ? {} : { deletedWith: goal.deletedWith }),
    ...(goal.protect ? { protect: true } : {}),
    ...(goal.retainOnDelete ? { retainOnDelete: true } : {}),
    ...(goal.customTimeouts === undefined ? {} : { customTimeouts: goal.customTimeouts }),
    ...(goal.additionalSecretOutputs.length === 0
      ? {}
      : { additionalSecretOutputs: goal.additionalSecretOutputs }),
  };
}
