/** What a run tells while it goes on. No event holds a secret: messages are masked, outputs too. */
import type { PropertyMap } from "./properties.ts";

/** `read` is a look for what an interrupted creation left. */
export type Operation = "create" | "update" | "replace" | "delete" | "same" | "read";

interface AboutResource {
  urn: string;
  type: string;
  name: string;
  /** URN of the parent; absent for the root stack. */
  parent?: string;
  /** Components group others and have no provider. */
  component: boolean;
  operation: Operation;
}

export interface ResourceStarted extends AboutResource {
  kind: "resource-started";
}

export interface ResourceFinished extends AboutResource {
  kind: "resource-finished";
  milliseconds: number;
  /** For example, that it went together with what it stood on. */
  message?: string;
}

export interface ResourceFailed extends AboutResource {
  kind: "resource-failed";
  milliseconds: number;
  message: string;
  code?: string;
}

/** A line of the program (`log`, `stdout`, `stderr`), of a provider or of the engine. */
export interface Diagnostic {
  kind: "diagnostic";
  severity: "debug" | "info" | "warning" | "error";
  source: "log" | "stdout" | "stderr" | "provider" | "engine";
  message: string;
  urn?: string;
}

/** The stack's outputs, secrets as `[secret]`. */
export interface OutputsEvent {
  kind: "outputs";
  outputs: PropertyMap;
}

export type EngineEvent = ResourceStarted | ResourceFinished | ResourceFailed | Diagnostic | OutputsEvent;

/** How many resources (components not counted) met which end. */
export interface Counts {
  created: number;
  updated: number;
  replaced: number;
  deleted: number;
  same: number;
}
