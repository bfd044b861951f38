/** The lab's NEAR Intents relay. */
export type { IntentBook } from "./auction.ts";
export type { EventShape } from "./events.ts";
export type { LoggedOffer } from "./offer-log.ts";
export type { IntentStatus, SettledIntent } from "./settlement.ts";
export { type LabNear, type NearArguments, startNear } from "./start.ts";
