/** What a run of the Pulumi CLI tells, event by event. */
import type { EngineEvent } from "@pulumi/pulumi/automation/index.js";
import { nameOfUrn, type StackEvent } from "./stack-engine.ts";

/** @returns undefined for what is nothing to people. */
export function eventOf(event: EngineEvent): StackEvent | undefined {
  const { resourcePreEvent, resOutputsEvent, resOpFailedEvent, diagnosticEvent } = event;
  const metadata = (resourcePreEvent ?? resOutputsEvent ?? resOpFailedEvent)?.metadata;
  if (metadata !== undefined) {
    if (metadata.op === "same") return undefined;
    const status =
      resourcePreEvent !== undefined ? "started" : resOutputsEvent !== undefined ? "done" : "failed";
    return {
      kind: "resource",
      status,
      operation: metadata.op,
      type: metadata.type,
      name: nameOfUrn(metadata.urn),
    };
  }
  if (diagnosticEvent === undefined || diagnosticEvent.ephemeral === true) return undefined;
  const { message } = diagnosticEvent;
  // Its type names no debug.
  const severity: string = diagnosticEvent.severity;
  // The event log has these even when nobody asked for them; they hold resources' values in clear.
  if (severity === "debug") return undefined;
  const text = message.replaceAll(/<\{%[^%]*%\}>/g, "").trim();
  if (text === "") return undefined;
  return {
    kind: "line",
    text,
    severity: severity === "warning" ? "warning" : severity.startsWith("error") ? "error" : "info",
  };
}
