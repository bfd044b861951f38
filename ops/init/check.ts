/** What every check works with. */
import type { Draft } from "./draft.ts";

/** Arguments of a check. */
export interface CheckContext {
  draft: Draft;
  environment: Readonly<Record<string, string | undefined>>;
  signal: AbortSignal;
  /** Whether something harmless may be made and removed again, which alone shows what a key may do. */
  probe: boolean;
  /** Told what takes long. */
  progress: (line: string) => void;
}

/** An API's answer, whatever its status. */
export interface ApiAnswer {
  status: number;
  /** Undefined when it is no JSON. */
  body: unknown;
  /** Half the time that the call took, in milliseconds: the best guess for the way back. */
  wayBackMs: number;
}

const answerMs = 10_000;

/**
 * Makes one call, and a second one where the network or the server failed.
 * @throws Error that says why nobody answered; the signal's reason
 */
export async function askApi(
  url: string,
  headers: Readonly<Record<string, string>>,
  signal: AbortSignal,
  body?: object,
): Promise<ApiAnswer> {
  for (let attempt = 1; ; attempt += 1) {
    const began = performance.now();
    try {
      const response = await fetch(url, {
        method: body === undefined ? "GET" : "POST",
        redirect: "error",
        headers: {
          accept: "application/json",
          ...headers,
          ...(body === undefined ? {} : { "content-type": "application/json" }),
        },
        signal: AbortSignal.any([signal, AbortSignal.timeout(answerMs)]),
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
      const text = await response.text();
      if (response.status >= 500 && attempt === 1) continue;
      return { status: response.status, body: parse(text), wayBackMs: (performance.now() - began) / 2 };
    } catch (error) {
      signal.throwIfAborted();
      if (attempt === 2) throw new Error(reasonOf(error), { cause: error });
    }
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Why a call failed, in a few words. */
export function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error.name === "TimeoutError") return `no answer within ${answerMs / 1_000} s`;
  return error.cause instanceof Error ? error.cause.message || error.message : error.message;
}
