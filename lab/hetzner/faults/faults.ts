/** Decides what a fault plan does to each request, action and boot. */
import { createHash } from "node:crypto";
import {
  type ActionEffect,
  type ActionFault,
  type BootEffect,
  type BootFault,
  type FaultPlan,
  FaultPlanError,
  type FaultRule,
  parseFaultPlan,
  type RequestEffect,
  type RequestFault,
} from "./rules.ts";

/** A rule and what came of it, for tests that must know that their fault happened. */
export interface FaultReport {
  id: string;
  rule: FaultRule;
  /** Requests, actions or boots that it fits. */
  fitted: number;
  /** Those that it hit. */
  hit: number;
}

type Installed = FaultReport;

/** Whether `text` is what `pattern` says; `*` is any text, `{id}` any number. */
function matches(pattern: string, text: string): boolean {
  const source = pattern
    .split(/(\*|\{[a-z_]+\})/)
    .map((part) =>
      part === "*" ? ".*" : /^\{[a-z_]+\}$/.test(part) ? "\\d+" : part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"),
    )
    .join("");
  return new RegExp(`^${source}$`).test(text);
}

/** A number from 0 to 1 that follows from its arguments alone. */
function chance(seed: number, id: string, count: number): number {
  return createHash("sha256").update(`${seed}\n${id}\n${count}`).digest().readUInt32BE(0) / 2 ** 32;
}

/** The faults of one simulator. */
export class Faults {
  #rules: Installed[] = [];
  #seed = 1;
  #lastId = 0;

  /** @throws FaultPlanError when the plan is wrong */
  constructor(plan: FaultPlan = { rules: [] }) {
    this.add(plan);
  }

  /**
   * Adds rules behind those that there are.
   * @param plan its seed, if it has one, holds for all rules from now on
   * @returns the rules' ids
   * @throws FaultPlanError when the plan is wrong or an id is taken; nothing is added then
   */
  add(plan: FaultPlan): string[] {
    const { seed, rules } = parseFaultPlan(plan);
    const added = rules.map((rule) => ({
      id: rule.id ?? `fault-${(this.#lastId += 1)}`,
      rule,
      fitted: 0,
      hit: 0,
    }));
    const ids = added.map(({ id }) => id);
    const twice = ids.find(
      (id, index) => ids.indexOf(id) !== index || this.#rules.some((other) => other.id === id),
    );
    if (twice !== undefined) throw new FaultPlanError([`a rule with the id '${twice}' exists`]);
    this.#seed = seed ?? this.#seed;
    this.#rules.push(...added);
    return ids;
  }

  /** Takes a rule away, or all of them. @returns how many were taken away */
  remove(id?: string): number {
    const before = this.#rules.length;
    this.#rules = id === undefined ? [] : this.#rules.filter((rule) => rule.id !== id);
    return before - this.#rules.length;
  }

  /** Whether there is no rule. */
  get none(): boolean {
    return this.#rules.length === 0;
  }

  /** Every rule, and how often it hit. */
  report(): FaultReport[] {
    return this.#rules.map((rule) => ({ ...rule }));
  }

  /** Counts one thing that the rule fits. @returns whether it is hit */
  #hits(installed: Installed): boolean {
    installed.fitted += 1;
    const { nth, rate, times } = installed.rule.when ?? {};
    const hit =
      (nth === undefined || nth.includes(installed.fitted)) &&
      (times === undefined || installed.hit < times) &&
      (rate === undefined || chance(this.#seed, installed.id, installed.fitted) < rate);
    if (hit) installed.hit += 1;
    return hit;
  }

  /** The effects of the rules that hit, in their order; each rule that fits counts it. */
  #effects<Rule extends FaultRule>(at: Rule["at"], fits: (rule: Rule) => boolean): readonly Rule["effect"][] {
    return this.#rules
      .filter((installed) => installed.rule.at === at && fits(installed.rule as Rule))
      .filter((installed) => this.#hits(installed))
      .map(({ rule }) => rule.effect);
  }

  /** @param path below `/v1`, without a query */
  request(
    method: string,
    path: string,
    body: Readonly<Record<string, unknown>> | undefined,
  ): RequestEffect | undefined {
    const [first] = this.#effects<RequestFault>("request", (rule) => {
      if (rule.method !== undefined && rule.method !== method) return false;
      if (rule.path !== undefined && !matches(rule.path, path)) return false;
      return Object.entries(rule.body ?? {}).every(([name, wanted]) => {
        const value = body?.[name];
        return typeof wanted === "string" && typeof value === "string"
          ? matches(wanted, value)
          : value === wanted;
      });
    });
    return first;
  }

  /** @param names of the resources that the action is about */
  action(command: string, names: readonly string[]): ActionEffect {
    const effects = this.#effects<ActionFault>(
      "action",
      (rule) =>
        matches(rule.command, command) &&
        (rule.resource === undefined || names.some((name) => matches(rule.resource ?? "*", name))),
    );
    return {
      error: effects.find(({ error }) => error !== undefined)?.error,
      takesMs: effects.find(({ takesMs }) => takesMs !== undefined)?.takesMs,
      factor: effects.find(({ factor }) => factor !== undefined)?.factor,
    };
  }

  /** @param server name of the server that boots */
  boot(server: string): readonly BootEffect[] {
    return this.#effects<BootFault>(
      "boot",
      (rule) => rule.server === undefined || matches(rule.server, server),
    );
  }
}
