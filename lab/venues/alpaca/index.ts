/** The lab's Alpaca. */
export { calendarYears, type TradingDay, tradingDays } from "./calendar.ts";
export type { Order } from "./order.ts";
export type { ClientOrderIds } from "./order-book.ts";
export { type AlpacaArguments, type LabAlpaca, startAlpaca } from "./start.ts";
