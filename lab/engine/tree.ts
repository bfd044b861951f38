/**
 * Shows a run as it goes on: on a terminal a tree that is redrawn, elsewhere a line for each finished resource.
 * It prints only what events carry, and events carry no secret.
 */
import type { EngineEvent, Operation } from "./events.ts";

export interface TreeRendererOptions {
  /** Where to write. */
  output: NodeJS.WritableStream & { isTTY?: boolean; columns?: number; rows?: number };
  /** Redraw in place. Default: whether `output` is a terminal. */
  interactive?: boolean;
  /** Colours. Default: when interactive and NO_COLOR is not set. */
  color?: boolean;
}

export interface TreeRenderer {
  onEvent(event: EngineEvent): void;
  /** Draws the last state and stops the timer. Call it when the run is over. */
  close(): void;
}

interface Row {
  urn: string;
  parent: string | undefined;
  type: string;
  name: string;
  component: boolean;
  operation: Operation;
  status: "running" | "done" | "failed";
  began: number;
  milliseconds: number;
  message: string | undefined;
}

const words: Record<Operation, { running: string; done: string; sign: string }> = {
  create: { running: "creating", done: "created", sign: "+" },
  update: { running: "updating", done: "updated", sign: "~" },
  replace: { running: "replacing", done: "replaced", sign: "±" },
  delete: { running: "deleting", done: "deleted", sign: "-" },
  read: { running: "looking", done: "looked up", sign: "?" },
  same: { running: "comparing", done: "unchanged", sign: " " },
};
const colors = { green: 32, yellow: 33, red: 31, magenta: 35, dim: 2 } as const;
const operationColors: Record<Operation, keyof typeof colors> = {
  create: "green",
  update: "yellow",
  replace: "magenta",
  delete: "red",
  read: "dim",
  same: "dim",
};
const redrawMs = 120;

/** `1.2 s`, `45 s`, `2:05 min`. */
export function formatDuration(milliseconds: number): string {
  const seconds = milliseconds / 1_000;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 60) return `${Math.round(seconds)} s`;
  const whole = Math.round(seconds);
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")} min`;
}

/** The last part of a type token: `hcloud:index/server:Server` is `hcloud Server`. */
export function shortType(type: string): string {
  const parts = type.split(":");
  const last = parts.at(-1) ?? type;
  return parts.length < 2 ? last : `${parts[0]} ${last}`;
}

class LineRenderer implements TreeRenderer {
  readonly #write: (line: string) => void;

  constructor(write: (line: string) => void) {
    this.#write = write;
  }

  onEvent(event: EngineEvent): void {
    switch (event.kind) {
      case "resource-finished":
        if (event.component || event.operation === "same" || event.operation === "read") return;
        this.#write(
          `  ${words[event.operation].sign} ${shortType(event.type)} ${event.name} ${words[event.operation].done} (${formatDuration(event.milliseconds)})${event.message === undefined ? "" : `, ${event.message}`}`,
        );
        return;
      case "resource-failed":
        this.#write(
          `  ! ${shortType(event.type)} ${event.name}: ${event.operation} failed (${formatDuration(event.milliseconds)})\n${indent(event.message)}`,
        );
        return;
      case "diagnostic":
        if (event.severity !== "debug") this.#write(`  ${diagnosticText(event)}`);
        return;
      case "resource-started":
      case "outputs":
        return;
    }
  }

  close(): void {
    // Every line is written at once; nothing is left to draw.
  }
}

function indent(text: string): string {
  return text
    .split("\n")
    .map((line) => `      ${line}`)
    .join("\n");
}

function diagnosticText(event: Extract<EngineEvent, { kind: "diagnostic" }>): string {
  const of = event.urn === undefined ? "" : `${event.urn.split("::").at(-1)}: `;
  const level = event.severity === "info" ? "" : `${event.severity}: `;
  return `${level}${of}${event.message}`;
}

class LiveRenderer implements TreeRenderer {
  readonly #output: TreeRendererOptions["output"];
  readonly #color: boolean;
  readonly #rows = new Map<string, Row>();
  readonly #timer: NodeJS.Timeout;
  #drawnLines = 0;
  #dirty = false;

  constructor(output: TreeRendererOptions["output"], color: boolean) {
    this.#output = output;
    this.#color = color;
    this.#timer = setInterval(() => this.#tick(), redrawMs);
    this.#timer.unref();
  }

  onEvent(event: EngineEvent): void {
    switch (event.kind) {
      case "diagnostic":
        if (event.severity !== "debug") this.#printAbove(`  ${diagnosticText(event)}`);
        return;
      case "outputs":
        return;
      case "resource-started":
        this.#put(event, "running", 0, undefined);
        return;
      case "resource-finished":
        this.#put(event, "done", event.milliseconds, event.message);
        return;
      case "resource-failed":
        this.#put(event, "failed", event.milliseconds, event.message);
        this.#printAbove(`  ${event.name}: ${event.operation} failed\n${indent(event.message)}`);
    }
  }

  #put(
    event: Extract<EngineEvent, { urn: string; operation: Operation }>,
    status: Row["status"],
    milliseconds: number,
    message: string | undefined,
  ): void {
    const { urn, parent, type, name, component, operation } = event;
    const began = this.#rows.get(urn)?.began ?? performance.now();
    this.#rows.set(urn, {
      urn,
      parent,
      type,
      name,
      component,
      operation,
      status,
      began,
      milliseconds,
      message,
    });
    this.#dirty = true;
  }

  #tick(): void {
    if (this.#dirty || [...this.#rows.values()].some((row) => row.status === "running")) this.#draw();
  }

  #paint(text: string, color: keyof typeof colors): string {
    return this.#color ? `\u001b[${colors[color]}m${text}\u001b[0m` : text;
  }

  #printAbove(text: string): void {
    this.#erase();
    this.#output.write(`${text}\n`);
    this.#draw();
  }

  #erase(): void {
    if (this.#drawnLines > 0) this.#output.write(`\u001b[${this.#drawnLines}A\u001b[0J`);
    this.#drawnLines = 0;
  }

  #line(row: Row, depth: number, width: number): string {
    const time = row.status === "running" ? performance.now() - row.began : row.milliseconds;
    const state = row.status === "failed" ? "failed" : words[row.operation][row.status];
    const timed = row.component || row.operation === "same" ? "" : ` (${formatDuration(time)})`;
    const left = `${"  ".repeat(depth + 1)}${row.status === "failed" ? "!" : words[row.operation].sign} ${shortType(row.type)} ${row.name}`;
    const right = row.component ? "" : `${state}${timed}`;
    const room = Math.max(10, width - right.length - 2);
    const cut = left.length > room ? `${left.slice(0, room - 1)}…` : left.padEnd(Math.min(room, 72));
    return `${cut} ${this.#paint(right, row.status === "failed" ? "red" : operationColors[row.operation])}`;
  }

  #lines(): string[] {
    const children = new Map<string | undefined, Row[]>();
    for (const row of this.#rows.values()) {
      const parent = row.parent !== undefined && this.#rows.has(row.parent) ? row.parent : undefined;
      children.set(parent, [...(children.get(parent) ?? []), row]);
    }
    const width = this.#output.columns ?? 100;
    const walk = (parent: string | undefined, depth: number): string[] =>
      (children.get(parent) ?? []).flatMap((row) => [
        this.#line(row, depth, width),
        ...walk(row.urn, depth + 1),
      ]);
    return walk(undefined, 0);
  }

  #draw(last = false): void {
    this.#dirty = false;
    this.#erase();
    let lines = this.#lines();
    // While it is redrawn, it must fit the window; what is under way matters most and stands at the end.
    const height = Math.max(5, (this.#output.rows ?? 24) - 2);
    if (!last && lines.length > height) {
      const running = [...this.#rows.values()].filter((row) => row.status === "running" && !row.component);
      const done = [...this.#rows.values()].filter((row) => row.status === "done" && !row.component).length;
      const width = this.#output.columns ?? 100;
      lines = [`  ${done} resources done`, ...running.map((row) => this.#line(row, 0, width))].slice(
        0,
        height,
      );
    }
    if (lines.length === 0) return;
    this.#output.write(`${lines.join("\n")}\n`);
    this.#drawnLines = lines.length;
  }

  close(): void {
    clearInterval(this.#timer);
    this.#draw(true);
    this.#drawnLines = 0;
  }
}

/** A renderer for one run. Its `onEvent` goes into the engine's options. */
export function createTreeRenderer(options: TreeRendererOptions): TreeRenderer {
  const { output } = options;
  const interactive = options.interactive ?? output.isTTY === true;
  if (!interactive) return new LineRenderer((line) => void output.write(`${line}\n`));
  return new LiveRenderer(output, options.color ?? process.env["NO_COLOR"] === undefined);
}
