/** What failed in a run of the Pulumi CLI, gathered from its events: they name the resource, the last message does not. */
import type { EngineEvent } from "@pulumi/pulumi/automation/index.js";
import { nameOfUrn, type StackFailure } from "./stack-engine.ts";

/**
 * Error codes of the Hetzner API that decide what happens next; its clients print them in brackets behind the message
 * (https://docs.hetzner.cloud/reference/cloud#errors).
 */
const codes =
  /\b(resource_unavailable|placement_error|resource_limit_exceeded|uniqueness_error|rate_limit_exceeded|unauthorized|forbidden)\b/;

/** See the module's description. */
export class PulumiFailures {
  readonly #failed = new Set<string>();
  readonly #said = new Map<string, string[]>();
  readonly #unattached: string[] = [];

  /** Takes in one event. */
  see({ resOpFailedEvent, diagnosticEvent }: EngineEvent): void {
    if (resOpFailedEvent !== undefined) this.#failed.add(resOpFailedEvent.metadata.urn);
    if (diagnosticEvent === undefined || !diagnosticEvent.severity.startsWith("error")) return;
    const { urn = "", message } = diagnosticEvent;
    const text = message.replaceAll(/<\{%[^%]*%\}>/g, "").trim();
    if (text === "") return;
    if (urn === "") this.#unattached.push(text);
    else this.#said.set(urn, [...(this.#said.get(urn) ?? []), text]);
  }

  /**
   * Every failure; what belongs to no resource (the stack itself, the program) comes last.
   * @param otherwise the command's own message, for a run that told of no failure.
   */
  all(otherwise: string): StackFailure[] {
    const isStack = (urn: string): boolean => urn.includes("::pulumi:pulumi:Stack::");
    const urns = [...new Set([...this.#failed, ...this.#said.keys()])].filter((urn) => !isStack(urn));
    const failures = urns.map((urn): StackFailure => {
      const message = [...new Set(this.#said.get(urn) ?? ["failed; the engine gave no reason"])].join("\n");
      return { urn, name: nameOfUrn(urn), code: codes.exec(message)?.[1], message };
    });
    if (failures.length > 0) return failures;
    const ofProgram = [...this.#said].filter(([urn]) => isStack(urn)).flatMap(([, texts]) => texts);
    const texts = [...ofProgram, ...this.#unattached];
    const message = [...new Set(texts.length === 0 ? [otherwise] : texts)].join("\n");
    return [{ urn: undefined, name: undefined, code: undefined, message }];
  }
}
