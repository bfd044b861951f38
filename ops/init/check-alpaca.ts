/** Asks Alpaca for the account that the executor would trade with. */
import { z } from "zod";
import { valuesSchema } from "../../stacks/config-schema.ts";
import { type ApiAnswer, askApi, type CheckContext } from "./check.ts";
import { type Finding, findingsOf } from "./finding.ts";

const finding = findingsOf("alpaca");
const keys = ["alpacaKeyId", "alpacaSecretKey"];

const account = z.object({
  status: z.string(),
  currency: z.string().default("USD"),
  cash: z.string(),
  trading_blocked: z.boolean().default(false),
  account_blocked: z.boolean().default(false),
});
const clock = z.object({ timestamp: z.string(), is_open: z.boolean() });
const errorBody = z.object({ message: z.string() });

/** A clock that is further off is not set. The executors, who allow less, measure their own, in the cluster. */
const mostSkewMs = 5_000;

/** See the module's description. @throws the signal's reason */
export async function checkAlpaca({ draft, signal, progress }: CheckContext): Promise<Finding[]> {
  const venue = valuesSchema.shape.venues.shape.alpaca.safeParse(draft.get(["venues", "alpaca"]));
  // Its mistakes are those of the whole configuration.
  if (!venue.success) return [finding("note", "Not asked: trading:venues.alpaca is not valid.")];
  const { restUrl, updatesUrl } = venue.data;
  const keyId = draft.secret("alpacaKeyId");
  const headers = {
    "APCA-API-KEY-ID": keyId,
    "APCA-API-SECRET-KEY": draft.secret("alpacaSecretKey"),
  };
  const ask = (path: string) => askApi(`${restUrl.replace(/\/+$/, "")}${path}`, headers, signal);
  progress(`Asking ${restUrl} for the account`);
  let answers: readonly [ApiAnswer, ApiAnswer];
  try {
    // Only questions: the data stream takes one connection an account, and that is the ingestor's.
    answers = [await ask("/v2/account"), await ask("/v2/clock")];
  } catch (error) {
    signal.throwIfAborted();
    return [
      finding(
        "unreachable",
        `${restUrl} does not answer: ${(error as Error).message}. Check the network.`,
        keys,
      ),
    ];
  }
  const [accountAnswer, clockAnswer] = answers;
  const isLive = new URL(restUrl).hostname === "api.alpaca.markets";
  const bad = problemOf(accountAnswer, keyId, isLive);
  if (bad !== undefined) return [bad];
  const found = account.safeParse(accountAnswer.body);
  if (!found.success)
    return [finding("unreachable", `${restUrl} answers GET /v2/account with what is no account.`, keys)];
  const { status, currency, cash, trading_blocked, account_blocked } = found.data;
  const isBlocked = status !== "ACTIVE" || trading_blocked || account_blocked;
  return [
    isLive
      ? finding("warning", `LIVE account: orders spend real money (${cash} ${currency} in cash).`)
      : finding("ok", `Paper account at ${restUrl}: ${cash} ${currency} in cash, nothing real.`),
    ...(isBlocked
      ? [
          finding(
            "warning",
            `It cannot trade now: status ${status}${trading_blocked || account_blocked ? ", blocked" : ""}. Alpaca's dashboard says why.`,
          ),
        ]
      : []),
    ...(isLive === (new URL(updatesUrl).hostname === "api.alpaca.markets")
      ? []
      : [
          finding(
            "warning",
            "trading:venues.alpaca mixes paper and live: restUrl and updatesUrl are of different accounts.",
          ),
        ]),
    clockFinding(clockAnswer),
  ];
}

/** Why there is no account to look at. */
function problemOf({ status, body }: ApiAnswer, keyId: string, isLive: boolean): Finding | undefined {
  if (status === 200) return undefined;
  const said = errorBody.safeParse(body).data?.message ?? "no reason given";
  if (status !== 401 && status !== 403)
    return finding("unreachable", `Alpaca answers HTTP ${status} (${said}). Try again later.`, keys);
  const other =
    keyId.startsWith("PK") && isLive
      ? " This looks like a paper key, and trading:venues.alpaca is the live API."
      : keyId.startsWith("AK") && !isLive
        ? " This looks like a live key, and trading:venues.alpaca is the paper API."
        : "";
  return finding("refused", `Alpaca refuses the keys (HTTP ${status}: ${said}).${other}`, keys);
}

function clockFinding({ status, body, wayBackMs }: ApiAnswer): Finding {
  const { data } = clock.safeParse(body);
  const at = Date.parse(data?.timestamp ?? "");
  if (status !== 200 || data === undefined || Number.isNaN(at))
    return finding("note", `The venue does not tell the time (HTTP ${status}).`);
  const skew = Math.round(Date.now() - wayBackMs - at);
  const market = `The market is ${data.is_open ? "open" : "closed"}`;
  return Math.abs(skew) > mostSkewMs
    ? finding(
        "warning",
        `${market}; this machine's clock is ${Math.abs(skew)} ms ${skew > 0 ? "ahead of" : "behind"} the venue's: set it.`,
      )
    : finding("ok", `${market}; this machine's clock agrees with the venue's.`);
}
