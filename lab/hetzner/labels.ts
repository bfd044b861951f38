/** Labels and label selectors: https://docs.hetzner.cloud/reference/cloud#label-selector */
import { ApiError, type FieldError } from "./errors.ts";

export type Labels = Readonly<Record<string, string>>;

const namePattern = /^[a-z0-9A-Z]([a-z0-9A-Z._-]{0,61}[a-z0-9A-Z])?$/;
const dnsLabel = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;

/** Whether `value` may be a label's value: empty, or at most 63 letters, digits, `-`, `_`, `.` with a letter or digit at both ends. */
export function isLabelValue(value: string): boolean {
  return value === "" || namePattern.test(value);
}

/** Whether `key` may be a label's key: a name like a value's, not empty, with an optional DNS prefix of at most 253 characters and a slash. */
export function isLabelKey(key: string): boolean {
  const slash = key.indexOf("/");
  if (slash === -1) return namePattern.test(key);
  const prefix = key.slice(0, slash);
  if (prefix.length > 253 || !prefix.split(".").every((part) => dnsLabel.test(part))) return false;
  return namePattern.test(key.slice(slash + 1));
}

/** Every mistake in a set of labels; none when it is empty. `hetzner.cloud/` keys are reserved. */
export function labelMistakes(labels: Labels): FieldError[] {
  const messages = Object.entries(labels).flatMap(([key, value]) => [
    ...(isLabelKey(key) ? [] : [`label key '${key}' is not correctly formatted`]),
    ...(key.startsWith("hetzner.cloud/") ? [`label key '${key}' has a reserved prefix`] : []),
    ...(isLabelValue(value) ? [] : [`label value '${value}' (key: ${key}) is not correctly formatted`]),
  ]);
  return messages.length === 0 ? [] : [{ name: "labels", messages }];
}

/** Whether a set of labels is selected. */
export type LabelSelector = (labels: Labels) => boolean;

/** Splits at commas outside of parentheses. */
function requirements(selector: string): string[] {
  const parts: string[] = [];
  let depth = 0;
  let start = 0;
  for (let index = 0; index < selector.length; index += 1) {
    const character = selector[index];
    if (character === "(") depth += 1;
    if (character === ")") depth -= 1;
    if (character === "," && depth === 0) {
      parts.push(selector.slice(start, index));
      start = index + 1;
    }
  }
  return [...parts, selector.slice(start)].map((part) => part.trim());
}

function malformed(selector: string): ApiError {
  return new ApiError("invalid_input", `label selector '${selector}' is not correctly formatted`, {
    fields: [{ name: "label_selector", messages: ["label selector is not correctly formatted"] }],
  });
}

/**
 * Parses `key`, `!key`, `key=value`, `key==value`, `key!=value`, `key in (a,b)` and `key notin (a,b)`, joined by commas (and).
 * As in Kubernetes, `!=` and `notin` also select what does not have the key.
 * @throws ApiError `invalid_input` when it is not correctly formatted
 */
export function parseLabelSelector(selector: string): LabelSelector {
  const tests = requirements(selector).map((requirement): LabelSelector => {
    const set = /^(\S+)\s+(in|notin)\s*\(([^()]*)\)$/.exec(requirement);
    const comparison = /^([^\s=!]+)\s*(==|=|!=)\s*([^\s=!]*)$/.exec(requirement);
    const existence = /^(!?)\s*([^\s=!()]+)$/.exec(requirement);
    const check = (key: string, values: readonly string[]) => {
      if (!isLabelKey(key) || !values.every(isLabelValue)) throw malformed(selector);
    };
    if (set !== null) {
      const [, key = "", operator, list = ""] = set;
      const values = list.split(",").map((value) => value.trim());
      check(key, values);
      return (labels) => {
        const value = labels[key];
        const contained = value !== undefined && values.includes(value);
        return operator === "in" ? contained : !contained;
      };
    }
    if (comparison !== null) {
      const [, key = "", operator, value = ""] = comparison;
      check(key, [value]);
      return (labels) => (operator === "!=" ? labels[key] !== value : labels[key] === value);
    }
    if (existence !== null) {
      const [, negation, key = ""] = existence;
      check(key, []);
      return (labels) => (labels[key] === undefined) === (negation === "!");
    }
    throw malformed(selector);
  });
  return (labels) => tests.every((test) => test(labels));
}
