/** What the simulator's tests share: a small client that waits for actions, and SSH. */
import ssh2 from "ssh2";
import { type Hetzner, type HetznerArguments, startHetzner } from "../index.ts";
import { imagePulls, latencyModel, type TimedStep } from "../durations.ts";
export { newKeyPair } from "../boot/key-pair.ts";
import type { ServerTypeView } from "../catalog/server-types.ts";
import type { ActionView } from "../model/actions.ts";
import type {
  FirewallView,
  NetworkView,
  PlacementGroupView,
  PrimaryIpView,
  ServerView,
  SshKeyView,
} from "../model/views.ts";

/** What answers hold. A test asks for what it expects; what is not there fails its assertions. */
export interface AnswerBody {
  action: ActionView;
  actions: ActionView[];
  next_actions: ActionView[];
  root_password: string | null;
  server: ServerView;
  servers: ServerView[];
  network: NetworkView;
  networks: NetworkView[];
  firewall: FirewallView;
  firewalls: FirewallView[];
  ssh_key: SshKeyView;
  ssh_keys: SshKeyView[];
  placement_group: PlacementGroupView;
  placement_groups: PlacementGroupView[];
  primary_ip: PrimaryIpView;
  primary_ips: PrimaryIpView[];
  server_types: ServerTypeView[];
  images: { id: number; name: string; architecture: string }[];
  locations: { id: number; name: string; network_zone: string }[];
  pricing: {
    server_types: { name: string; prices: { location: string; price_hourly: { net: string } }[] }[];
  };
  error: {
    code: string;
    message: string;
    details: { fields?: { name: string; messages?: string[] }[] } | null;
  };
  meta: {
    pagination: {
      page: number;
      per_page: number;
      previous_page: number | null;
      next_page: number | null;
      last_page: number;
      total_entries: number;
    };
  };
}

/** An answer: its status, headers and JSON body (null when it has none). */
export interface Answer {
  status: number;
  headers: Headers;
  body: AnswerBody;
}

export interface TestClient {
  hetzner: Hetzner;
  request: (
    method: string,
    path: string,
    body?: unknown,
    headers?: Record<string, string>,
  ) => Promise<Answer>;
  /** A request whose answer must have the status. */
  expect(status: number, method: string, path: string, body?: unknown): Promise<AnswerBody>;
  /** Polls as the real provider does until the actions have ended. @throws Error when one fails */
  wait(...actions: { id: number }[]): Promise<void>;
  /** A request that must be refused with the code. @returns the error */
  refused(code: string, method: string, path: string, body?: unknown): Promise<AnswerBody["error"]>;
}

/** Every action takes this many ms in tests that do not look at durations. */
const quick = 15;

/**
 * A latency in which everything takes some milliseconds, deadlines excepted.
 * @param replaced other durations or deadlines, in ms
 */
export function quickLatency(replaced: Partial<Record<TimedStep, number>> = {}) {
  const fast = latencyModel("fast");
  return {
    duration: (step: TimedStep, subject: string) =>
      replaced[step] ??
      (step.startsWith("deadline_") || step === "api_request" ? fast.duration(step, subject) : quick),
    pulls: imagePulls.fast,
  };
}

/** Starts a simulator and a client of it. Close `hetzner` afterwards. */
export async function startTestClient(args: HetznerArguments = {}): Promise<TestClient> {
  const hetzner = await startHetzner({ latency: quickLatency(), ...args });
  const request: TestClient["request"] = async (method, path, body, headers = {}) => {
    const response = await fetch(hetzner.endpoint + path, {
      method,
      headers: { authorization: `Bearer ${hetzner.token}`, ...headers },
      ...(body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body) }),
    });
    const text = await response.text();
    return {
      status: response.status,
      headers: response.headers,
      body: (text === "" ? null : JSON.parse(text)) as AnswerBody,
    };
  };
  return {
    hetzner,
    request,
    expect: async (status, method, path, body) => {
      const answer = await request(method, path, body);
      if (answer.status !== status) {
        throw new Error(
          `${method} ${path}: ${answer.status}, expected ${status}: ${JSON.stringify(answer.body)}`,
        );
      }
      return answer.body;
    },
    refused: async (code, method, path, body) => {
      const answer = await request(method, path, body);
      if (answer.status < 400 || answer.body.error.code !== code) {
        throw new Error(
          `${method} ${path}: ${answer.status}, expected ${code}: ${JSON.stringify(answer.body)}`,
        );
      }
      return answer.body.error;
    },
    wait: async (...actions) => {
      const ids = actions.map(({ id }) => `id=${id}`).join("&");
      for (;;) {
        const { body } = await request("GET", `/actions?${ids}&page=1&sort=status&sort=id`);
        const found = body.actions;
        if (found.length !== actions.length)
          throw new Error(`${actions.length} actions asked, ${found.length} found`);
        const failed = found.find(({ status }) => status === "error");
        if (failed !== undefined) throw new Error(`${failed.command}: ${JSON.stringify(failed.error)}`);
        if (found.every(({ status }) => status === "success")) return;
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
    },
  };
}

export interface SshWish {
  host: string;
  port: number;
  username?: string;
  privateKey: string;
}

export interface SshResult {
  code: number;
  stdout: string;
  stderr: string;
  /** The server's host key as an OpenSSH line without comment. */
  hostKey: string;
}

/** Runs one command over a real SSH connection. @throws Error when the login fails or the connection breaks */
export function runOverSsh(wish: SshWish, command: string): Promise<SshResult> {
  return new Promise((resolve, reject) => {
    const client = new ssh2.Client();
    let hostKey = "";
    const finish = (settle: () => void) => {
      client.end();
      settle();
    };
    client.on("error", (error) => finish(() => reject(error)));
    client.on("close", () => reject(new Error("the connection closed")));
    client.on("ready", () => {
      client.exec(command, (error, channel) => {
        if (error !== undefined) {
          finish(() => reject(error));
          return;
        }
        let stdout = "";
        let stderr = "";
        let code = -1;
        channel.on("data", (data: Buffer) => (stdout += data.toString()));
        channel.stderr.on("data", (data: Buffer) => (stderr += data.toString()));
        channel.on("exit", (exitCode: number) => (code = exitCode));
        channel.on("close", () => finish(() => resolve({ code, stdout, stderr, hostKey })));
      });
    });
    client.connect({
      host: wish.host,
      port: wish.port,
      username: wish.username ?? "root",
      privateKey: wish.privateKey,
      readyTimeout: 20_000,
      hostVerifier: (key: Buffer) => {
        hostKey = `ssh-ed25519 ${key.toString("base64")}`;
        return true;
      },
    });
  });
}

/** As `runOverSsh`, but tries again while the server does not answer yet. */
export async function runWhenBooted(wish: SshWish, command: string, deadlineMs = 20_000): Promise<SshResult> {
  const until = Date.now() + deadlineMs;
  for (;;) {
    try {
      return await runOverSsh(wish, command);
    } catch (error) {
      if (!/ECONNREFUSED/.test(String(error)) || Date.now() > until) throw error;
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }
}
