/** The lab's Alpaca. */
export { calendarYears, type TradingDay, tradingDays } from "./calendar.ts";
export type { MarketHoursMode } from "./market-hours.ts";
export type { Order, OrderStatus } from "./order.ts";
export type { ClientOrderIds, TradeUpdate } from "./order-book.ts";
export type { StreamRefusal } from "./stream.ts";
export { type AlpacaArguments, type FeedName, type LabAlpaca, startAlpaca } from "./start.ts";
