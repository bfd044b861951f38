/** The code that docs/archive.md shows: what is tested is what people copy. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import path from "node:path";

/**
 * The one block of a language with these words in it.
 * @param language as behind the three backticks: `sql`, `python`.
 */
export function documentedCode(language: string, words: string): string {
  const text = readFileSync(path.join(import.meta.dirname, "../../docs/archive.md"), "utf8");
  const blocks = [...text.matchAll(/^```(\w+)\n(.*?)^```$/gms)]
    .filter(([, found, code]) => found === language && code?.includes(words))
    .map(([, , code]) => code);
  assert.equal(blocks.length, 1, `docs/archive.md has ${blocks.length} blocks of ${language} with ${words}`);
  return blocks[0] ?? "";
}
