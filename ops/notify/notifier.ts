/**
 * People are told: a webhook for what happened, and a dead-man's switch that raises the alarm elsewhere when nothing happens
 * any more. Neither ever decides how a command ends: what cannot be delivered is a warning.
 */
import { type Delivery, deliver, type DeliveryPatience } from "./deliver.ts";
import { messageOf } from "./message.ts";
import type { Notice } from "./notice.ts";
import { readSecretUrl } from "./secret-url.ts";

export type { DeliveryPatience } from "./deliver.ts";
export type { Notice, NoticeKind } from "./notice.ts";

/** What has a schedule that a dead-man's switch can watch. */
export const heartbeatJobs = ["open", "close", "guard"] as const;
/** One of {@link heartbeatJobs}. */
export type HeartbeatJob = (typeof heartbeatJobs)[number];

/**
 * How a job stands, as healthchecks.io and its like are told (https://healthchecks.io/docs/http_api/): `success` asks for the
 * address itself, `start` and `fail` for the address with that word as its last part.
 */
export type Heartbeat = "start" | "success" | "fail";

/** Tells people. No method rejects. */
export interface Notifier {
  /** @returns false when it did not arrive; a notifier of one's own need not say anything */
  tell(notice: Notice): Promise<boolean | void>;
  /** The dead-man's switch: without a beat in its time it raises the alarm by itself. @param heartbeat default: `success` */
  beat(job: HeartbeatJob, heartbeat?: Heartbeat): Promise<boolean | void>;
}

/** Arguments of {@link openNotifier}. */
export interface NotifierArguments {
  /** TRADING_WEBHOOK_URL, TRADING_HEARTBEAT_URL (`{job}` in it becomes the job); TRADING_RUN_LINK or what CI says of the run. */
  environment: Readonly<Record<string, string | undefined>>;
  /** Receives warnings, without the addresses. */
  reporter: { note(line: string): void };
  /** Ends repetitions; see {@link deliver}. */
  signal: AbortSignal;
  patience?: Partial<DeliveryPatience>;
}

/** Nothing is sent yet; what is wrong with the environment is a warning at once. */
export function openNotifier({ environment, reporter, signal, patience }: NotifierArguments): Notifier {
  const receiver = (name: string): URL | undefined => {
    const read = readSecretUrl(name, environment[name]);
    if (read === undefined || "url" in read) return read?.url;
    reporter.note(`warning: ${read.mistake}. It is not used.`);
    return undefined;
  };
  const webhook = receiver("TRADING_WEBHOOK_URL");
  const heartbeatUrl = receiver("TRADING_HEARTBEAT_URL");
  const link = runLink(environment);
  let isSilenceTold = false;
  const nobody = (): boolean => {
    if (webhook === undefined && heartbeatUrl === undefined && !isSilenceTold) {
      isSilenceTold = true;
      reporter.note("nobody is told: neither TRADING_WEBHOOK_URL nor TRADING_HEARTBEAT_URL is set");
    }
    return false;
  };
  const warn = (what: string, { attempts, problem }: Delivery): void => {
    const times = attempts === 1 ? "one attempt" : `${attempts} attempts`;
    reporter.note(`warning: ${what} (${times}): ${problem}`);
  };
  return {
    async tell(notice) {
      if (webhook === undefined) return nobody();
      const message = messageOf({ ...notice, link: notice.link ?? link });
      let delivery = await deliver({ url: webhook, body: message, patience, signal });
      // Google Chat takes no fields that it does not know.
      if (delivery.status === 400)
        delivery = await deliver({ url: webhook, body: { text: message.text }, patience, signal });
      if (!delivery.delivered)
        warn(`people could not be told by TRADING_WEBHOOK_URL that ${message.title}`, delivery);
      return delivery.delivered;
    },
    async beat(job, heartbeat = "success") {
      if (heartbeatUrl === undefined) return nobody();
      const delivery = await deliver({
        url: heartbeatAddress(heartbeatUrl, job, heartbeat),
        patience,
        signal,
      });
      // Many know no `start` and no `fail`: they raise the alarm because no success follows.
      const isUnknownThere = heartbeat !== "success" && (delivery.status === 404 || delivery.status === 405);
      if (!delivery.delivered && !isUnknownThere)
        warn(`the heartbeat of ${job} did not reach TRADING_HEARTBEAT_URL`, delivery);
      return delivery.delivered;
    },
  };
}

/** What is behind `?` stays, such as `create=1`. */
function heartbeatAddress(given: URL, job: HeartbeatJob, heartbeat: Heartbeat): URL {
  // URL writes braces in a path as %7B and %7D, and leaves them behind `?`.
  const url = new URL(given.href.replaceAll(/(?:%7B|\{)job(?:%7D|\})/gi, job));
  if (heartbeat !== "success") url.pathname = `${url.pathname.replace(/\/+$/, "")}/${heartbeat}`;
  return url;
}

/** Where the log of this very run is, as CI says: GitHub, Gitea and Forgejo set the same variables. */
function runLink(environment: NotifierArguments["environment"]): string | null {
  const {
    TRADING_RUN_LINK: given = "",
    GITHUB_SERVER_URL: server = "",
    GITHUB_REPOSITORY: repository = "",
    GITHUB_RUN_ID: run = "",
  } = environment;
  if (given !== "") return given;
  return [server, repository, run].includes("") ? null : `${server}/${repository}/actions/runs/${run}`;
}
