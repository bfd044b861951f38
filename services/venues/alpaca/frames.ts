/**
 * Cuts Alpaca's frames, which are JSON arrays, into the exact source text of each element. Parsing and printing
 * would not give the text back: ids beyond 2^53 lose digits, and `1.10` becomes `1.1`.
 */

/** A frame is not a JSON array. */
export class FrameError extends Error {
  constructor(message: string) {
    super(message);
    this.name = "FrameError";
  }
}

const quote = 0x22;
const backslash = 0x5c;
const comma = 0x2c;
const openBracket = 0x5b;
const closeBracket = 0x5d;
const openBrace = 0x7b;
const closeBrace = 0x7d;

/**
 * The source text of each element of a JSON array, without blanks around it. Whether an element itself is
 * JSON is for its reader to find out.
 * @throws FrameError when the text is not one array with balanced brackets.
 */
export function sliceArray(frame: string): string[] {
  const text = frame.trim();
  if (text.charCodeAt(0) !== openBracket || text.charCodeAt(text.length - 1) !== closeBracket) {
    throw new FrameError("expected a JSON array");
  }
  const elements: string[] = [];
  let depth = 0;
  let start = 1;
  for (let at = 1; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    if (code === quote) {
      at = endOfString(text, at);
    } else if (code === openBrace || code === openBracket) {
      depth += 1;
    } else if (code === closeBrace || code === closeBracket) {
      if (depth === 0) {
        if (at !== text.length - 1) throw new FrameError(`unexpected text after the array, at ${at + 1}`);
        const last = text.slice(start, at).trim();
        if (last !== "") elements.push(last);
        else if (elements.length > 0) throw new FrameError(`an element is missing before ${at}`);
        return elements;
      }
      depth -= 1;
    } else if (code === comma && depth === 0) {
      const element = text.slice(start, at).trim();
      if (element === "") throw new FrameError(`an element is missing before ${at}`);
      elements.push(element);
      start = at + 1;
    }
  }
  throw new FrameError("the array does not end");
}

/** Position of the quote that ends the string beginning at `start`. */
function endOfString(text: string, start: number): number {
  for (let at = start + 1; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    if (code === backslash) at += 1;
    else if (code === quote) return at;
  }
  throw new FrameError(`a string does not end, it begins at ${start}`);
}
