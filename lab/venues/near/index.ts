/** The lab's NEAR Intents relay. */
export type { IntentBook, IntentStatus, SettledIntent } from "./auction.ts";
export { type LabNear, type NearArguments, startNear } from "./start.ts";
