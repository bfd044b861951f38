/** What a replay found, for people. */
import type { ReplayResult, ReportedDifference, TopicResult } from "../../services/archive/replay.ts";
import { table } from "../table.ts";

/** The whole report: numbers by topic, differences, what was left out. */
export function printReplay(result: ReplayResult): string {
  const { topics, fed, milliseconds } = result;
  const records = Object.values(fed).reduce((sum, count) => sum + count, 0);
  const from = Object.entries(fed).map(([topic, count]) => `${topic} ${count}`);
  return [
    `${records} records replayed in ${(milliseconds / 1_000).toFixed(1)} s: ${from.join(", ") || "no topic"}`,
    "",
    numbers(topics),
    ...topics.flatMap(leftOutLines),
    ...listed(topics),
    "",
    result.same
      ? `same: ${sameEvents(topics)} events, byte by byte, in order`
      : "NOT the same: see the differences above",
  ].join("\n");
}

function sameEvents(topics: readonly TopicResult[]): number {
  return topics.reduce((sum, { counts }) => sum + counts.same, 0);
}

function numbers(topics: readonly TopicResult[]): string {
  const heads = [
    "TOPIC",
    ">IN THE DAY",
    ">IN THE REPLAY",
    ">SAME",
    ">DIFFERENT",
    ">MISSING",
    ">ADDITIONAL",
    ">OUT OF ORDER",
    ">REPEATED",
  ];
  return table(
    heads,
    topics.map(({ topic, counts }) => [
      topic,
      ...[
        counts.archived,
        counts.replayed,
        counts.same,
        counts.different,
        counts.missing,
        counts.additional,
        counts.outOfOrder,
        counts.repeatedInArchive + counts.repeatedInReplay,
      ].map(String),
    ]),
  );
}

function leftOutLines({ topic, leftOut }: TopicResult): string[] {
  return Object.entries(leftOut).map(
    ([service, count]) => `${topic}: ${count} records of ${service} are not compared, it was not replayed`,
  );
}

function listed(topics: readonly TopicResult[]): string[] {
  return topics.flatMap(({ topic, counts, differences }) => {
    const all = counts.different + counts.missing + counts.additional + counts.outOfOrder;
    if (all === 0) return [];
    const more = all - differences.length;
    return [
      "",
      `${topic}:`,
      ...differences.map((difference) => `  ${describe(difference)}`),
      ...(more > 0 ? [`  and ${more} more (--limit shows more)`] : []),
    ];
  });
}

const place = ({ partition, offset }: { partition: number; offset: string }): string =>
  `${partition}@${offset}`;

function describe(difference: ReportedDifference): string {
  const { kind, id, key } = difference;
  const what = `${id} (key ${JSON.stringify(key)}`;
  switch (kind) {
    case "missing":
      return `missing    ${what}, in the day at ${place(difference.at)}): the replay did not make it`;
    case "additional":
      return `additional ${what}, in the replay at ${place(difference.at)}): the day did not have it`;
    case "different":
      return `different  ${what}, in the day at ${place(difference.archived)}, in the replay at ${place(difference.replayed)})${field(difference)}`;
    case "repeated":
      return `repeated   ${what}, in the ${difference.side === "archived" ? "day" : "replay"} at ${place(difference.again)}) with other bytes than before${field(difference)}`;
    case "order":
      return `order      ${what}, in the day at ${place(difference.archived)}, in the replay at ${place(difference.replayed)}): on the other side of ${difference.other}`;
  }
}

function field({ field: found }: ReportedDifference): string {
  if (found === undefined) return "";
  const { field: name, archived = "(not there)", replayed = "(not there)" } = found;
  return `: ${name} was ${archived}, is ${replayed}`;
}
