/**
 * The data messages of Alpaca's stock stream that have a normal form, and how their fields are read. Field names
 * and meanings: Alpaca's "Real-time stock data" documentation. Fields that are not named here are passed over.
 */
import { z } from "zod";
import type { EventType, PayloadOf } from "../../core/events.ts";
import { instantString } from "../../core/time.ts";
import { exactQuantity, exactWhole } from "./exact-json.ts";

/** A message's normal form. */
export type Normal = {
  [Type in EventType & `norm.stock_${string}`]: { type: Type; time: string; payload: PayloadOf<Type> };
}[EventType & `norm.stock_${string}`];

/** A text that Alpaca may leave out, or empty, when it has nothing to say. */
const optionalText = z
  .string()
  .nullish()
  .transform((text) => (text == null || text === "" ? undefined : text));

const conditions = z
  .array(z.string())
  .nullish()
  .transform((codes) => codes ?? []);

/** Of every message: the symbol and the event's time, to nanoseconds. */
const common = { S: z.string().min(1), t: instantString };

/** An optional field stands in the payload only when it has a value, so that equal events are equal objects. */
function optional<Name extends string>(name: Name, value: string | undefined): { [Key in Name]?: string } {
  return (value === undefined ? {} : { [name]: value }) as { [Key in Name]?: string };
}

const trade = z
  .object({
    ...common,
    i: exactWhole,
    x: optionalText,
    p: exactQuantity,
    s: exactQuantity,
    c: conditions,
    z: optionalText,
  })
  .transform((message): Normal => ({
    type: "norm.stock_trade",
    time: message.t,
    payload: {
      symbol: message.S,
      ...optional("exchange", message.x),
      trade_id: message.i,
      price: message.p,
      size: message.s,
      conditions: message.c,
      ...optional("tape", message.z),
    },
  }));

const quote = z
  .object({
    ...common,
    bx: optionalText,
    bp: exactQuantity,
    bs: exactQuantity,
    ax: optionalText,
    ap: exactQuantity,
    as: exactQuantity,
    c: conditions,
    z: optionalText,
  })
  .transform((message): Normal => ({
    type: "norm.stock_quote",
    time: message.t,
    payload: {
      symbol: message.S,
      ...optional("bid_exchange", message.bx),
      bid_price: message.bp,
      bid_size: message.bs,
      ...optional("ask_exchange", message.ax),
      ask_price: message.ap,
      ask_size: message.as,
      conditions: message.c,
      ...optional("tape", message.z),
    },
  }));

const bar = (kind: PayloadOf<"norm.stock_bar">["kind"]) =>
  z
    .object({
      ...common,
      o: exactQuantity,
      h: exactQuantity,
      l: exactQuantity,
      c: exactQuantity,
      v: exactQuantity,
      vw: exactQuantity,
      n: exactQuantity,
    })
    .transform((message): Normal => ({
      type: "norm.stock_bar",
      time: message.t,
      payload: {
        symbol: message.S,
        kind,
        open: message.o,
        high: message.h,
        low: message.l,
        close: message.c,
        volume: message.v,
        trade_count: message.n,
        vwap: message.vw,
      },
    }));

const correction = z
  .object({
    ...common,
    x: optionalText,
    oi: exactWhole,
    op: exactQuantity,
    os: exactQuantity,
    oc: conditions,
    ci: exactWhole,
    cp: exactQuantity,
    cs: exactQuantity,
    cc: conditions,
    z: optionalText,
  })
  .transform((message): Normal => ({
    type: "norm.stock_trade_correction",
    time: message.t,
    payload: {
      symbol: message.S,
      ...optional("exchange", message.x),
      original: {
        trade_id: message.oi,
        price: message.op,
        size: message.os,
        conditions: message.oc,
      },
      corrected: {
        trade_id: message.ci,
        price: message.cp,
        size: message.cs,
        conditions: message.cc,
      },
      ...optional("tape", message.z),
    },
  }));

const cancel = z
  .object({
    ...common,
    i: exactWhole,
    x: optionalText,
    p: exactQuantity,
    s: exactQuantity,
    a: z.enum(["C", "E"]),
    z: optionalText,
  })
  .transform((message): Normal => ({
    type: "norm.stock_trade_cancel",
    time: message.t,
    payload: {
      symbol: message.S,
      ...optional("exchange", message.x),
      trade_id: message.i,
      price: message.p,
      size: message.s,
      action: message.a === "C" ? "canceled" : "error",
      ...optional("tape", message.z),
    },
  }));

/** By the message's `T`: how it is read. Kinds that are not named here have no normal form. */
export const normalForms: ReadonlyMap<string, z.ZodType<Normal>> = new Map<string, z.ZodType<Normal>>([
  ["t", trade],
  ["q", quote],
  ["b", bar("minute")],
  ["u", bar("updated_minute")],
  ["d", bar("daily")],
  ["c", correction],
  ["x", cancel],
]);
