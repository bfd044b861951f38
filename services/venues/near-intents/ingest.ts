/** Takes the quote requests of the NEAR Intents solver relay in: one raw event each, with the exact text. */
import { startIngest, type VenueMessage } from "../../bus/ingest.ts";
import { topics } from "../../bus/topics.ts";
import { text, url } from "../../core/config.ts";
import { openFeed, type Feed, type FeedSession } from "../../core/feed-connection.ts";
import type { ServiceContext, ServiceDefinition } from "../../core/service.ts";
import { pairKey, quoteFields, readRelayFrame, relayRequest } from "./relay-messages.ts";

/** Quotes come many times a minute; after this silence the connection counts as dead. */
const silenceMs = 60_000;
const subscribeId = 1;

/** Arguments of {@link openQuoteFeed}. */
export interface QuoteFeedOptions {
  url: string;
  /** Partner JWT, sent as bearer token. */
  token: string;
  context: Pick<ServiceContext, "logger" | "metrics" | "health">;
  take(session: FeedSession, message: VenueMessage): void;
  /** See {@link silenceMs}; shorter in tests. */
  silenceMs?: number;
}

/** Opens the subscription `quote`. */
export function openQuoteFeed(options: QuoteFeedOptions): Feed {
  const { logger } = options.context;
  return openFeed({
    feed: "near-intents.quote",
    url: options.url,
    headers: { Authorization: `Bearer ${options.token}` },
    context: options.context,
    silenceMs: options.silenceMs ?? silenceMs,
    onOpen: (session) => session.send(relayRequest(subscribeId, "subscribe", ["quote"])),
    onMessage: (session, data) => {
      const message = data.toString("utf8");
      const read = readRelayFrame(message);
      if (read?.kind === "response") {
        if (read.error !== undefined) {
          logger.error({ error: read.error }, "the relay refused the subscription");
          session.fail("subscription refused");
        } else {
          logger.info({ subscription: read.result, session_id: session.id }, "subscribed to quotes");
          session.established();
        }
        return;
      }
      // What cannot be read is raw data all the same; the normalizer says what is wrong with it.
      options.take(session, { text: message, ...describe(read?.fields) });
    },
  });
}

function describe(fields: Record<string, unknown> | undefined): Pick<VenueMessage, "messageType" | "key"> {
  const assetIn = fields?.["defuse_asset_identifier_in"];
  const assetOut = fields?.["defuse_asset_identifier_out"];
  if (typeof assetIn !== "string" || typeof assetOut !== "string")
    return { messageType: null, key: "unreadable" };
  return {
    messageType: quoteFields.safeParse(fields).success ? "quote" : null,
    key: pairKey(assetIn, assetOut),
  };
}

const variables = { NEAR_RELAY_WEBSOCKET_URL: url("ws", "wss"), NEAR_RELAY_TOKEN: text };

/** The service `ingest-near-intents`. */
export const ingestNearIntents: ServiceDefinition<typeof variables> = {
  variables,
  secrets: ["NEAR_RELAY_TOKEN"],
  start: (context, config) =>
    startIngest({
      context,
      topic: topics.rawNearIntentsQuote.name,
      type: "raw.near-intents.quote",
      venue: "near-intents",
      open: (take) =>
        openQuoteFeed({
          url: config.NEAR_RELAY_WEBSOCKET_URL,
          token: config.NEAR_RELAY_TOKEN,
          context,
          take,
        }),
    }),
};
