/** Pulumi's resource names: `urn:pulumi:<stack>::<project>::<parent type>$<type>::<name>`. */
import type { AliasSpecification } from "./goal.ts";

export interface Identity {
  project: string;
  stack: string;
}

export interface UrnParts extends Identity {
  /** Types of the parents and of the resource, joined by `$`. */
  qualifiedType: string;
  name: string;
}

export const rootStackType = "pulumi:pulumi:Stack";

/** Takes a URN apart. A name may itself contain `::`. */
export function parseUrn(urn: string): UrnParts {
  const [stack, project, qualifiedType, ...name] = urn.replace(/^urn:pulumi:/, "").split("::");
  return {
    stack: stack ?? "",
    project: project ?? "",
    qualifiedType: qualifiedType ?? "",
    name: name.join("::"),
  };
}

/** The URN of a resource; the root stack leaves no trace in its children's. */
export function makeUrn(identity: Identity, parent: string | undefined, type: string, name: string): string {
  const parentType = parent === undefined ? undefined : parseUrn(parent).qualifiedType;
  const qualified = parentType === undefined || parentType === rootStackType ? type : `${parentType}$${type}`;
  return `urn:pulumi:${identity.stack}::${identity.project}::${qualified}::${name}`;
}

/**
 * All URNs under which a resource may stand in an older state: its own aliases, and those it inherits when its
 * parent has aliases (a child whose name begins with its parent's name follows that name too, as in Pulumi).
 * @param parentAliases former URNs of the parent
 */
export function aliasUrns(
  identity: Identity,
  resource: { type: string; name: string; parent?: string },
  aliases: readonly AliasSpecification[],
  parentAliases: readonly string[],
): string[] {
  const { type, name, parent } = resource;
  const found = new Set<string>();
  const parents = (own: string | undefined): { urn: string | undefined; name: string }[] => [
    { urn: own, name },
    ...(own === parent
      ? parentAliases.map((former) => {
          const parentName = parent === undefined ? "" : parseUrn(parent).name;
          const follows = parentName !== "" && name.startsWith(parentName);
          return {
            urn: former,
            name: follows ? parseUrn(former).name + name.slice(parentName.length) : name,
          };
        })
      : []),
  ];
  for (const inherited of parents(parent)) found.add(makeUrn(identity, inherited.urn, type, inherited.name));
  for (const alias of aliases) {
    if ("urn" in alias) {
      found.add(alias.urn);
      continue;
    }
    const own = alias.noParent === true ? undefined : (alias.parentUrn ?? parent);
    const former = { stack: alias.stack ?? identity.stack, project: alias.project ?? identity.project };
    for (const inherited of parents(own)) {
      found.add(makeUrn(former, inherited.urn, alias.type ?? type, alias.name ?? inherited.name));
    }
  }
  found.delete(makeUrn(identity, parent, type, name));
  return [...found];
}

/** The short name of a URN, for people. */
export function shortName(urn: string): string {
  const { qualifiedType, name } = parseUrn(urn);
  return `${qualifiedType.split("$").at(-1)} ${name}`;
}
