/**
 * The one body that is posted to whatever receives webhooks. Slack, Mattermost and Rocket.Chat show `text`, Discord shows
 * `content`, ntfy shows any field that a template in its address names (https://docs.ntfy.sh/publish/#message-templating);
 * all of them pass over fields that they do not know. The other fields are for programs.
 */
import type { Notice, NoticeKind } from "./notice.ts";

/** Discord refuses a `content` of more than 2,000 characters; the rest is for heading, price and link. */
const longestText = 1_500;
const longestMessage = 2_000;

const headings: Readonly<Record<NoticeKind, string>> = {
  opened: "opened",
  closed: "closed",
  failed: "FAILED",
  unsealed: "UNSEALED PAST ITS DEADLINE",
  leaked: "LEAKED",
  "not-opened": "NOT OPENED",
  "still-open": "STILL OPEN",
  test: "test",
};

/** What a receiver gets, as JSON. */
export interface Message {
  text: string;
  content: string;
  /** For a notification's heading: `trading dev: STILL OPEN`. */
  title: string;
  kind: NoticeKind;
  stack: string;
  cluster: string | null;
  at: string;
  price_per_hour_eur: string | null;
  link: string | null;
}

/** Makes the body of a notice. */
export function messageOf({ kind, stack, cluster, text, at, pricePerHour, link }: Notice): Message {
  const title = `trading ${stack}: ${headings[kind]}`;
  const shown = shorten(
    [
      title,
      shorten(text, longestText),
      ...(cluster === null ? [] : [`Cluster: ${cluster}`]),
      ...(pricePerHour == null ? [] : [`It costs ${pricePerHour} EUR per started hour (net).`]),
      ...(link == null ? [] : [link]),
    ].join("\n"),
    longestMessage,
  );
  return {
    text: shown,
    content: shown,
    title,
    kind,
    stack,
    cluster,
    at,
    price_per_hour_eur: pricePerHour ?? null,
    link: link ?? null,
  };
}

function shorten(text: string, most: number): string {
  return text.length <= most ? text : `${text.slice(0, most - 1)}…`;
}
