/**
 * Quote requests as the NEAR Intents relay sends them to market makers. All of them are made from a seed; the
 * asset ids are real, the prices that size the amounts are rough and stand still.
 */
import { createRandom } from "./random.ts";

/** A quote request, without the envelope in which the relay sends it. */
export interface NearQuote {
  quote_id: string;
  defuse_asset_identifier_in: string;
  defuse_asset_identifier_out: string;
  /** Base units; exactly one of the two amounts is there. */
  exact_amount_in?: string;
  exact_amount_out?: string;
  /** How long an offer must stay valid. */
  min_deadline_ms: number;
  /** The relay's auction is not closed earlier, */
  min_wait_ms: number;
  /** and never later. */
  max_wait_ms: number;
  protocol_fee_included: boolean;
}

interface Asset {
  id: string;
  decimals: number;
  /** Rough price in US dollars, only to choose amounts of a sensible size. */
  dollars: number;
}

/** Assets that the intents contract knows, by their real ids. */
export const nearAssets: readonly [Asset, ...Asset[]] = [
  { id: "nep141:wrap.near", decimals: 24, dollars: 2.5 },
  { id: "nep141:usdt.tether-token.near", decimals: 6, dollars: 1 },
  {
    id: "nep141:17208628f84f5d6ad33f0da3bbbeb27ffcb398eac501a31bd6ad2011e36133a1",
    decimals: 6,
    dollars: 1,
  },
  {
    id: "nep141:eth-0xa0b86991c6218b36c1d19d4a2e9eb0ce3606eb48.omft.near",
    decimals: 6,
    dollars: 1,
  },
  { id: "nep141:eth.omft.near", decimals: 18, dollars: 3_000 },
  { id: "nep141:btc.omft.near", decimals: 8, dollars: 90_000 },
  { id: "nep141:sol.omft.near", decimals: 9, dollars: 150 },
  { id: "nep245:v2_1.omni.hot.tg:56_11111111111111111111", decimals: 18, dollars: 600 },
];

/**
 * The base units of an amount worth `dollars`, as the decimal string of the wire.
 * Whole cents' worth are multiplied as integers: a float has no 24 digits.
 */
function baseUnits(asset: Asset, dollars: number): string {
  const millionths = BigInt(Math.max(1, Math.round((dollars / asset.dollars) * 1e6)));
  const units = (millionths * 10n ** BigInt(asset.decimals)) / 1_000_000n;
  return String(units > 0n ? units : 1n);
}

/**
 * Quote requests without end: 10 to 10,000 dollars each, two different assets, seven in ten name what comes in.
 * @param seed any whole number; the same seed gives the same quotes.
 */
export function* generateNearQuotes(seed: number): Generator<NearQuote, never> {
  const random = createRandom(seed, "near quotes");
  for (;;) {
    const assetIn = random.pick(nearAssets);
    let assetOut = random.pick(nearAssets);
    while (assetOut.id === assetIn.id) assetOut = random.pick(nearAssets);
    const dollars = 10 * 10 ** (3 * random.next());
    const amount =
      random.next() < 0.7
        ? { exact_amount_in: baseUnits(assetIn, dollars) }
        : { exact_amount_out: baseUnits(assetOut, dollars) };
    yield {
      quote_id: random.uuid(),
      defuse_asset_identifier_in: assetIn.id,
      defuse_asset_identifier_out: assetOut.id,
      ...amount,
      min_deadline_ms: 60_000,
      min_wait_ms: random.pick([300, 1_000, 1_900]),
      max_wait_ms: 3_000,
      protocol_fee_included: false,
    };
  }
}
