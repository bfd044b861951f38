/** The judge of the dead letters: they are exactly the poison. */
import { deadLetterHeaders } from "../../../services/bus/dead-letters.ts";
import type { LogRecord } from "../../../services/bus/kafka-log.ts";
import type { PoisonRecord } from "../poison.ts";
import { place } from "./decode.ts";
import type { Finding } from "./finding.ts";

/** @returns poison that is not among the dead letters, letters that are no poison, and letters without origin. */
export function judgeLetters(letters: readonly LogRecord[], poison: readonly PoisonRecord[]): Finding[] {
  const findings: Finding[] = [];
  const expected = new Map(poison.map((record) => [place(record), record]));
  const found = new Set<string>();
  for (const letter of letters) {
    const header = (name: string) =>
      letter.headers.find(([each]) => each === name)?.[1]?.toString("utf8") ?? "";
    const origin = place({
      topic: header(deadLetterHeaders.topic),
      partition: Number(header(deadLetterHeaders.partition)),
      offset: header(deadLetterHeaders.offset),
    });
    found.add(origin);
    if (expected.has(origin)) continue;
    findings.push({
      what: "good_record_in_dead_letters",
      subject: origin,
      detail: `${header(deadLetterHeaders.service)}: ${header(deadLetterHeaders.error)}`,
    });
  }
  for (const [origin, { kind }] of expected) {
    if (found.has(origin)) continue;
    findings.push({ what: "poison_without_dead_letter", subject: origin, detail: kind });
  }
  return findings;
}
