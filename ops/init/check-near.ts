/** Asks the NEAR Intents relay, and the chain, for the account that the executor would sign with. */
import { randomBytes } from "node:crypto";
import WebSocket from "ws";
import { z } from "zod";
import { decodeBase58, encodeBase58 } from "../../services/venues/near-intents/base58.ts";
import { readSigner } from "../../services/venues/near-intents/signing.ts";
import { valuesSchema } from "../../stacks/config-schema.ts";
import { askApi, type CheckContext, reasonOf } from "./check.ts";
import { type Finding, findingsOf } from "./finding.ts";

const finding = findingsOf("near");
const tokenKeys = ["nearRelayToken"];
const signerKeys = ["nearSignerId", "nearPrivateKey"];

/** Public RPC of the chain: https://docs.near.org/api/rpc/providers */
const publicRpc = "https://rpc.mainnet.near.org";
/** The contract that intents are settled by. */
const contract = "intents.near";
const handshakeMs = 10_000;

const rpcAnswer = z.object({ result: z.object({ result: z.array(z.number()) }) });

/** See the module's description. @throws the signal's reason */
export async function checkNear(context: CheckContext): Promise<Finding[]> {
  const { draft, signal, progress, environment } = context;
  const venue = valuesSchema.shape.venues.shape.nearIntents.safeParse(draft.get(["venues", "nearIntents"]));
  // Its mistakes are those of the whole configuration.
  if (!venue.success) return [finding("note", "Not asked: trading:venues.nearIntents is not valid.")];
  const { relayRpcUrl, relayWebSocketUrl, salt } = venue.data;
  const token = draft.secret("nearRelayToken");
  const signerId = draft.secret("nearSignerId");

  let publicKey: string;
  try {
    ({ publicKey } = readSigner(signerId, draft.secret("nearPrivateKey")));
  } catch (error) {
    return [finding("refused", `The private key cannot be used: ${(error as Error).message}.`, signerKeys)];
  }
  const findings = [finding("ok", `The private key is one of Ed25519; its public half is ${publicKey}.`)];
  const implicit = implicitMismatch(signerId, publicKey);
  if (implicit !== undefined) return [...findings, implicit];

  progress(`Asking ${relayRpcUrl} and ${relayWebSocketUrl}`);
  findings.push(await relayRpc(relayRpcUrl, token, signal));
  findings.push(await relayWebSocket(relayWebSocketUrl, token, signal));

  const named = environment["NEAR_RPC_URL"] ?? "";
  const isHere = /^(localhost|127(\.\d{1,3}){3}|\[::1\])$/.test(new URL(relayRpcUrl).hostname);
  // What signs for a relay on this machine is on no public chain.
  if (named === "" && isHere) {
    findings.push(
      finding(
        "note",
        "The chain was not asked: the relay is one on this machine (NEAR_RPC_URL names a chain).",
      ),
    );
  } else {
    const url = named === "" ? publicRpc : named;
    progress(`Asking ${url} whether ${contract} knows the account's key`);
    findings.push(...(await onChain(url, { signerId, publicKey, salt }, signal)));
  }
  return findings;
}

/** An account that is named by 64 hexadecimal digits is the one of exactly that key. */
function implicitMismatch(signerId: string, publicKey: string): Finding | undefined {
  if (!/^[0-9a-f]{64}$/.test(signerId)) return undefined;
  const account = decodeBase58(publicKey.slice("ed25519:".length)).toString("hex");
  return account === signerId
    ? undefined
    : finding(
        "refused",
        `The account ${signerId} belongs to another key: this one's account is ${account}.`,
        signerKeys,
      );
}

/** Asks for an intent that nobody made: nothing comes of it, and only who may ask gets an answer. */
async function relayRpc(url: string, token: string, signal: AbortSignal): Promise<Finding> {
  const intent_hash = encodeBase58(randomBytes(32));
  const headers = { authorization: `Bearer ${token}`, "x-api-key": token };
  const request = { jsonrpc: "2.0", id: 1, method: "get_status", params: [{ intent_hash }] };
  try {
    const { status, body } = await askApi(url, headers, signal, request);
    if (status === 401 || status === 403)
      return finding("refused", `The relay's RPC refuses the token (HTTP ${status}).`, tokenKeys);
    const answered = z.union([z.object({ result: z.unknown() }), z.object({ error: z.unknown() })]);
    return status === 200 && answered.safeParse(body).success
      ? finding("ok", `The relay's RPC answers at ${url}.`)
      : finding("unreachable", `${url} answers HTTP ${status}, not as a relay does.`, tokenKeys);
  } catch (error) {
    signal.throwIfAborted();
    return finding("unreachable", `${url} does not answer: ${reasonOf(error)}.`, tokenKeys);
  }
}

/** Opens the connection that executors and ingestors use, subscribes to nothing, and closes it. */
function relayWebSocket(url: string, token: string, signal: AbortSignal): Promise<Finding> {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(url, {
      headers: { Authorization: `Bearer ${token}` },
      handshakeTimeout: handshakeMs,
    });
    const abort = (): void => {
      socket.terminate();
      reject(signal.reason as Error);
    };
    const end = (result: Finding): void => {
      signal.removeEventListener("abort", abort);
      resolve(result);
      socket.terminate();
    };
    signal.addEventListener("abort", abort);
    if (signal.aborted) abort();
    socket.on("open", () => end(finding("ok", `The relay lets the token in at ${url}.`)));
    socket.on("unexpected-response", (request, { statusCode = 0 }) => {
      request.destroy();
      end(
        statusCode === 401 || statusCode === 403
          ? finding("refused", `The relay refuses the token (HTTP ${statusCode} at ${url}).`, tokenKeys)
          : finding("unreachable", `${url} answers HTTP ${statusCode} instead of a WebSocket.`, tokenKeys),
      );
    });
    socket.on("error", (error) =>
      end(finding("unreachable", `${url} does not answer: ${reasonOf(error)}.`, tokenKeys)),
    );
  });
}

/** What the contract itself knows. That it cannot be asked keeps nothing from being written. */
async function onChain(
  url: string,
  { signerId, publicKey, salt }: { signerId: string; publicKey: string; salt: string },
  signal: AbortSignal,
): Promise<Finding[]> {
  const view = async (method: string, args: object): Promise<unknown> => {
    const params = {
      request_type: "call_function",
      finality: "final",
      account_id: contract,
      method_name: method,
      args_base64: Buffer.from(JSON.stringify(args)).toString("base64"),
    };
    const { status, body } = await askApi(url, {}, signal, {
      jsonrpc: "2.0",
      id: "1",
      method: "query",
      params,
    });
    const { data } = rpcAnswer.safeParse(body);
    if (data === undefined) throw new Error(`HTTP ${status} without a result of ${method}`);
    return JSON.parse(Buffer.from(data.result.result).toString("utf8"));
  };
  try {
    const isKnown = await view("has_public_key", { account_id: signerId, public_key: publicKey });
    const current = await view("current_salt", {});
    return [
      isKnown === true
        ? finding("ok", `${contract} takes this key for ${signerId} (asked ${url}).`)
        : finding(
            "refused",
            `${contract} does not take this key for ${signerId} (asked ${url}): register it with the contract's add_public_key, or correct the account.`,
            signerKeys,
          ),
      current === salt
        ? finding("ok", `The salt is the contract's.`)
        : finding("refused", `The contract's salt is ${JSON.stringify(current)}, not ${salt}.`, [
            "venues.nearIntents.salt",
          ]),
    ];
  } catch (error) {
    signal.throwIfAborted();
    return [
      finding(
        "note",
        `Whether ${contract} takes the key, and its salt, could not be asked of ${url}: ${reasonOf(error)}. NEAR_RPC_URL names another.`,
      ),
    ];
  }
}
