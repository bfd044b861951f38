/** A person's own feed: NDJSON of Alpaca stream messages, one object a line, read no further than needed. */
import { createReadStream } from "node:fs";
import { createInterface } from "node:readline";
import { z } from "zod";

const price = z.number().positive();
const count = z.number().nonnegative();
const timed = { S: z.string().min(1), t: z.iso.datetime({ offset: true }) };
const bar = { ...timed, o: price, h: price, l: price, c: price, v: count };

/** The kinds of data message that Alpaca's stock stream has; unknown further fields are kept. */
const messageSchema = z.discriminatedUnion("T", [
  z.looseObject({ T: z.literal("t"), ...timed, p: price, s: count }),
  z.looseObject({ T: z.literal("q"), ...timed, bp: count, ap: count }),
  z.looseObject({ T: z.literal(["b", "u", "d"]), ...bar }),
  z.looseObject({ T: z.literal(["c", "x", "s", "l"]), ...timed }),
]);

/** One wrong line of a feed. */
export interface FeedMistake {
  /** Counted from 1. */
  line: number;
  /** What was found and what was expected. */
  problem: string;
}

/** A feed cannot be replayed; all wrong lines at once. */
export class FeedError extends Error {
  override readonly name = "FeedError";
  readonly mistakes: readonly FeedMistake[];

  constructor(file: string, mistakes: readonly FeedMistake[], what?: string) {
    const shown = mistakes.slice(0, 20).map(({ line, problem }) => `  line ${line}: ${problem}`);
    const hidden = mistakes.length - shown.length;
    super(
      [
        what ??
          `${file}: ${mistakes.length} of its lines ${mistakes.length === 1 ? "is" : "are"} no Alpaca message. ` +
            'Expected one JSON object a line, such as {"T":"t","S":"AAPL","p":101.5,"s":3,"t":"2024-01-02T14:30:00Z"}:',
        ...shown,
        ...(hidden > 0 ? [`  and ${hidden} more`] : []),
      ].join("\n"),
    );
    this.mistakes = mistakes;
  }
}

/** What was read of a feed. */
export interface Feed {
  /** The lines' exact texts. */
  messages: string[];
  /** Distinct symbols in these messages, in order of appearance. */
  symbols: string[];
}

/**
 * Reads the first messages of a feed; the rest of the file is neither read nor checked.
 * @param file path of the NDJSON file; empty lines are passed over.
 * @param limit how many messages are wanted, at least 1.
 * @returns up to `limit` messages; fewer when the file has no more.
 * @throws FeedError naming each wrong line up to there, a file that cannot be read, or one without any message.
 */
export async function readFeed(file: string, limit: number): Promise<Feed> {
  const messages: string[] = [];
  const symbols = new Set<string>();
  const mistakes: FeedMistake[] = [];
  const stream = createReadStream(file, { encoding: "utf8" });
  let line = 0;
  try {
    for await (const text of createInterface({ input: stream, crlfDelay: Infinity })) {
      line++;
      if (text.trim() === "") continue;
      const problem = check(text, symbols);
      if (problem !== undefined) mistakes.push({ line, problem });
      else if (messages.push(text.trim()) >= limit) break;
    }
  } catch (error) {
    throw new FeedError(
      file,
      [],
      `The feed cannot be read: ${(error as Error).message}. Give the path of an NDJSON file.`,
    );
  } finally {
    stream.destroy();
  }
  if (mistakes.length > 0) throw new FeedError(file, mistakes);
  if (messages.length === 0) throw new FeedError(file, [], `${file}: there is no message in it.`);
  return { messages, symbols: [...symbols] };
}

function check(text: string, symbols: Set<string>): string | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return `found ${JSON.stringify(text.slice(0, 40))}, expected a JSON object`;
  }
  const parsed = messageSchema.safeParse(value);
  if (parsed.success) {
    symbols.add(parsed.data.S);
    return undefined;
  }
  return parsed.error.issues
    .map(({ path, message }) => {
      const [key] = path;
      const found = (value as Record<string, unknown> | null)?.[String(key)];
      return key === undefined ? message : `"${String(key)}": found ${JSON.stringify(found)}, ${message}`;
    })
    .join("; ");
}
