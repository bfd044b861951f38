/** What differs between two property maps, member by member, for people's eyes. */
import { equal, isSecret, masked, plain, type PropertyMap, type PropertyValue } from "./properties.ts";

/** One value that differs. Secrets stand as `[secret]`, what is not known yet as `[unknown]`. */
export interface PropertyChange {
  /** As Pulumi writes paths: `labels.role`, `rules[0].port`. */
  path: string;
  /** Absent: it is added. */
  before?: PropertyValue;
  /** Absent: it is removed. */
  after?: PropertyValue;
}

function isContainer(value: PropertyValue | undefined): value is PropertyMap | PropertyValue[] {
  return typeof value === "object" && value !== null && !isSecret(value);
}

function step(key: string, inList: boolean): string {
  if (inList) return `[${key}]`;
  return /^[\w-]+$/.test(key) ? `.${key}` : `["${key.replaceAll('"', '\\"')}"]`;
}

/** The innermost values that differ, sorted as the properties come. */
export function propertyChanges(old: PropertyMap, fresh: PropertyMap): PropertyChange[] {
  const changes: PropertyChange[] = [];
  const compare = (
    path: string,
    before: PropertyValue | undefined,
    after: PropertyValue | undefined,
    secret: boolean,
  ): void => {
    if (equal(before, after)) return;
    const hidden = secret || [before, after].some((value) => value !== undefined && isSecret(value));
    const bare = (value: PropertyValue | undefined): PropertyValue | undefined =>
      value !== undefined && isSecret(value) ? plain(value) : value;
    const left = bare(before);
    const right = bare(after);
    if (isContainer(left) && isContainer(right) && Array.isArray(left) === Array.isArray(right)) {
      const keys = new Set([...Object.keys(left), ...Object.keys(right)]);
      for (const key of keys) {
        const member = step(key, Array.isArray(left));
        compare(
          path === "" ? member.replace(/^\./, "") : path + member,
          Reflect.get(left, key) as PropertyValue | undefined,
          Reflect.get(right, key) as PropertyValue | undefined,
          hidden,
        );
      }
      return;
    }
    const shown = (value: PropertyValue): PropertyValue =>
      hidden && masked(value) !== "[unknown]" ? "[secret]" : masked(value);
    changes.push({
      path,
      ...(left === undefined || left === null ? {} : { before: shown(left) }),
      ...(right === undefined || right === null ? {} : { after: shown(right) }),
    });
  };
  compare("", old, fresh, false);
  return changes;
}
