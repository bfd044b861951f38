"""Trades and streams with Alpaca's official Python SDK, unchanged, against any endpoint of the API.

Usage: official_sdk.py REST STREAM REFUSED_STREAM UPDATES, with the credentials in ALPACA_KEY_ID and ALPACA_SECRET_KEY.
STREAM serves simulated prices of AAPL, and one message of each type for EVERY once it is subscribed. REFUSED_STREAM
answers the account with 409. The account must be empty, and is empty of positions and open orders again afterwards.
Prints one line for each step and ends with an assertion error at the first thing that is not as the SDK promises.
"""

import asyncio
import logging
import os
import sys
import threading
import time
from datetime import date, datetime, timezone

from alpaca.common.exceptions import APIError
from alpaca.data.live import StockDataStream
from alpaca.data.models import Bar, Quote, Trade, TradeCancel, TradeCorrection, TradingStatus
from alpaca.trading.client import TradingClient
from alpaca.trading.enums import OrderSide, OrderStatus, QueryOrderStatus, TimeInForce, TradeEvent
from alpaca.trading.requests import (
    ClosePositionRequest,
    GetCalendarRequest,
    GetOrdersRequest,
    LimitOrderRequest,
    MarketOrderRequest,
    ReplaceOrderRequest,
)
from alpaca.trading.stream import TradingStream

REST, STREAM, REFUSED_STREAM, UPDATES = sys.argv[1:5]
KEYS = {"api_key": os.environ["ALPACA_KEY_ID"], "secret_key": os.environ["ALPACA_SECRET_KEY"]}
DEADLINE_SECONDS = 20

client = TradingClient(**KEYS, url_override=REST)


def step(text):
    print(f"official SDK: {text}", flush=True)


def until(what, probe):
    deadline = time.monotonic() + DEADLINE_SECONDS
    while True:
        found = probe()
        if found:
            return found
        assert time.monotonic() < deadline, f"{what} did not come within {DEADLINE_SECONDS} s"
        time.sleep(0.02)


def refused(status, code, call):
    try:
        call()
    except APIError as error:
        assert (error.status_code, error.code) == (status, code), f"{error.status_code} {error}"
        return
    raise AssertionError(f"expected {status} {code}, but the call succeeded")


step("the account, the clock and the calendar")
account = client.get_account()
assert account.status == "ACTIVE" and account.currency == "USD" and not account.trading_blocked
cash = float(account.cash)
assert client.get_all_positions() == [] and client.get_orders() == []
clock = client.get_clock()
assert clock.is_open and clock.next_close > clock.timestamp and clock.next_open > clock.next_close
days = client.get_calendar(GetCalendarRequest(start=date(2026, 11, 23), end=date(2026, 11, 30)))
assert [(day.date.day, day.close.hour) for day in days] == [(23, 16), (24, 16), (25, 16), (27, 13), (30, 16)]
assert len(client.get_calendar(GetCalendarRequest(start=date(2030, 1, 1), end=date(2030, 12, 31)))) == 251
refused(401, 40110000, TradingClient("wrong", "keys", url_override=REST).get_account)

step("a stream of market data in MessagePack")
stream = StockDataStream(**KEYS, url_override=STREAM)
received = []


async def on_data(message):
    received.append(message)


for subscribe in (
    stream.subscribe_trades,
    stream.subscribe_quotes,
    stream.subscribe_bars,
    stream.subscribe_updated_bars,
    stream.subscribe_daily_bars,
    stream.subscribe_trading_statuses,
):
    subscribe(on_data, "AAPL", "EVERY")
stream.register_trade_corrections(on_data)
stream.register_trade_cancels(on_data)
streaming = threading.Thread(target=stream.run, daemon=True)
streaming.start()


def of(kind, symbol):
    return [message for message in received if isinstance(message, kind) and message.symbol == symbol]


for kind in (Trade, Quote, Bar):
    until(f"a {kind.__name__} of AAPL", lambda: of(kind, "AAPL"))
late = datetime.now(timezone.utc) - of(Quote, "AAPL")[-1].timestamp
assert abs(late.total_seconds()) < DEADLINE_SECONDS, late
for kind, count in ((Trade, 1), (Quote, 1), (Bar, 3), (TradingStatus, 1), (TradeCorrection, 1), (TradeCancel, 1)):
    until(f"each {kind.__name__} of EVERY", lambda: len(of(kind, "EVERY")) == count)
trade = of(Trade, "EVERY")[0]
assert (trade.id, trade.price, trade.size, trade.exchange, trade.tape) == (7, 10.5, 100, "V", "C"), trade
assert trade.timestamp == datetime(2025, 1, 2, 14, 30, 0, 123456, tzinfo=timezone.utc), trade.timestamp
correction = of(TradeCorrection, "EVERY")[0]
assert (correction.original_price, correction.corrected_price) == (10.5, 10.4), correction
assert [bar.close for bar in of(Bar, "EVERY")] == [10.5, 10.6, 10.7]
stream.unsubscribe_quotes("AAPL", "EVERY")
seen = len(of(Trade, "AAPL"))
until("further trades", lambda: len(of(Trade, "AAPL")) > seen + 5)
quotes = len(of(Quote, "AAPL"))
until("trades after the last quote", lambda: len(of(Trade, "AAPL")) > seen + 10)
assert len(of(Quote, "AAPL")) == quotes, "quotes still come after unsubscribing"

step("a stream that the account's plan lacks")
logging.getLogger("alpaca.data.live.websocket").setLevel(logging.CRITICAL)  # it logs the refusal with a stack
lacking = StockDataStream(**KEYS, url_override=REFUSED_STREAM)
lacking.subscribe_trades(on_data, "AAPL")
refusal = threading.Thread(target=lacking.run, daemon=True)
refusal.start()
refusal.join(DEADLINE_SECONDS)
assert not refusal.is_alive(), "the SDK has not understood 409"

step("trade updates")
updates_stream = TradingStream(**KEYS, url_override=UPDATES)
updates = []


async def on_update(update):
    updates.append(update)


updates_stream.subscribe_trade_updates(on_update)
updating = threading.Thread(target=updates_stream.run, daemon=True)
updating.start()


def updates_of(order, *events):
    return [update for update in updates if update.order.id == order.id and update.event in events]


# The SDK has no public word for it; it has sent its subscription by then.
until("the updates' stream", lambda: updates_stream._running)

step("a market order, its fill and its position")
bought = client.submit_order(
    MarketOrderRequest(
        symbol="AAPL", qty=2, side=OrderSide.BUY, time_in_force=TimeInForce.DAY, client_order_id="sdk-1"
    )
)
until("new and fill", lambda: updates_of(bought, TradeEvent.NEW) and updates_of(bought, TradeEvent.FILL))
fill = updates_of(bought, TradeEvent.FILL)[0]
assert (fill.qty, fill.position_qty, fill.order.status) == (2, 2, OrderStatus.FILLED), fill
order = client.get_order_by_client_id("sdk-1")
assert order.id == bought.id and float(order.filled_avg_price) == fill.price and order.filled_qty == "2", order
position = client.get_open_position("AAPL")
assert (position.qty, float(position.avg_entry_price)) == ("2", round(fill.price, 6)), position
assert abs(float(client.get_account().cash) - (cash - 2 * fill.price)) < 0.001
refused(
    422,
    40010001,
    lambda: client.submit_order(
        MarketOrderRequest(
            symbol="AAPL", qty=2, side=OrderSide.BUY, time_in_force=TimeInForce.DAY, client_order_id="sdk-1"
        )
    ),
)
refused(404, 40410000, lambda: client.get_order_by_client_id("never"))

step("a large order, filled in parts")
large = client.submit_order(
    MarketOrderRequest(symbol="AAPL", qty=3000, side=OrderSide.BUY, time_in_force=TimeInForce.DAY)
)
until("the last part", lambda: updates_of(large, TradeEvent.FILL))
parts = updates_of(large, TradeEvent.PARTIAL_FILL, TradeEvent.FILL)
assert len(parts) > 1 and sum(part.qty for part in parts) == 3000, [part.qty for part in parts]
average = sum(part.qty * part.price for part in parts) / 3000
assert abs(float(client.get_order_by_id(large.id).filled_avg_price) - average) < 0.0001
assert client.get_open_position("AAPL").qty == "3002"

step("limit orders: replaced, canceled, immediate or cancel")
resting = client.submit_order(
    LimitOrderRequest(symbol="AAPL", qty=1, side=OrderSide.BUY, time_in_force=TimeInForce.GTC, limit_price=1.5)
)
until("new", lambda: updates_of(resting, TradeEvent.NEW))
replaced = client.replace_order_by_id(resting.id, ReplaceOrderRequest(qty=3, limit_price=1.25))
until("replaced", lambda: updates_of(resting, TradeEvent.REPLACED) and updates_of(replaced, TradeEvent.NEW))
assert client.get_order_by_id(resting.id).replaced_by == replaced.id and replaced.replaces == resting.id
listed = client.get_orders(GetOrdersRequest(status=QueryOrderStatus.OPEN, symbols=["AAPL"]))
assert [(order.id, order.qty, order.limit_price) for order in listed] == [(replaced.id, "3", "1.25")], listed
client.cancel_order_by_id(replaced.id)
until("canceled", lambda: updates_of(replaced, TradeEvent.CANCELED))
refused(422, 42210000, lambda: client.cancel_order_by_id(replaced.id))
immediate = client.submit_order(
    LimitOrderRequest(symbol="AAPL", qty=1, side=OrderSide.BUY, time_in_force=TimeInForce.IOC, limit_price=1)
)
until("the cancel", lambda: updates_of(immediate, TradeEvent.CANCELED))

step("everything closed")
client.submit_order(
    LimitOrderRequest(symbol="AAPL", qty=1, side=OrderSide.BUY, time_in_force=TimeInForce.GTC, limit_price=1)
)
assert [response.status for response in client.cancel_orders()] == [200]
partly = client.close_position("AAPL", ClosePositionRequest(qty="2"))
until("the sale", lambda: updates_of(partly, TradeEvent.FILL))
closing = client.close_all_positions(cancel_orders=True)
assert [(response.symbol, response.status) for response in closing] == [("AAPL", 200)], closing
until("the end of the position", lambda: client.get_all_positions() == [] and client.get_orders() == [])
assert client.get_asset("AAPL").tradable and "AAPL" in [asset.symbol for asset in client.get_all_assets()]

step("the end of both streams")
for ending, thread in ((stream, streaming), (updates_stream, updating)):
    asyncio.run_coroutine_threadsafe(ending.stop_ws(), ending._loop).result()
    thread.join(DEADLINE_SECONDS)
    assert not thread.is_alive(), f"{ending} does not stop"
