/**
 * An account at the simulated Hetzner Cloud with things that carry labels as the program writes them, a real S3 server, and who
 * receives what people are told. No program, no state, no runner: what an independent look has.
 */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { type HetznerArguments } from "../../lab/hetzner/index.ts";
import { startTestClient, type TestClient } from "../../lab/hetzner/testing/client.ts";
import type { LabObjectStore } from "../../lab/objectstore/index.ts";
import { type ClusterArchive, openArchive } from "../../services/archive/index.ts";
import type { SealProgress } from "../../services/archive/documents.ts";
import { sealRequestSchema } from "../../services/archive/documents.ts";
import { documents } from "../../services/archive/layout.ts";
import type { Manifest } from "../../services/archive/documents.ts";
import { until } from "../until.ts";

/** Which cluster something is of, and until when it may be there. */
export interface LabelledCluster {
  stack: string;
  businessDate: string;
  clusterId: string;
  /** Undefined: it never got an `expires-at`. */
  expiresAt: Date | undefined;
  /** The mark of its archive's bucket. Default: none. */
  archive?: string;
}

/** The labels that the program writes (components/cluster-identity.ts). */
export function labelsOf(cluster: LabelledCluster, role: string) {
  const { stack, businessDate, clusterId, expiresAt, archive } = cluster;
  return {
    project: "trading",
    stack,
    role,
    "business-date": businessDate,
    "cluster-id": clusterId,
    ...(expiresAt === undefined ? {} : { "expires-at": String(Math.floor(expiresAt.getTime() / 1_000)) }),
    ...(archive === undefined ? {} : { archive }),
  };
}

/** See the module's description. */
export class LabelledAccount {
  readonly client: TestClient;
  readonly #store: LabObjectStore;
  readonly #archives: ClusterArchive[] = [];

  private constructor(client: TestClient, store: LabObjectStore) {
    this.client = client;
    this.#store = store;
  }

  static async start(store: LabObjectStore, args: HetznerArguments = {}): Promise<LabelledAccount> {
    return new LabelledAccount(await startTestClient({ requestsPerHour: 1_000_000, ...args }), store);
  }

  /** Environment of a command that works on this account and bucket, and of nothing else. */
  environment(): Record<string, string> {
    const { hetzner } = this.client;
    const { endpoint, region, bucket, accessKeyId, secretAccessKey } = this.#store;
    return {
      HCLOUD_ENDPOINT: hetzner.endpoint,
      HCLOUD_TOKEN: hetzner.token,
      S3_ENDPOINT: endpoint,
      S3_REGION: region,
      S3_BUCKET: bucket,
      S3_ACCESS_KEY_ID: accessKeyId,
      S3_SECRET_ACCESS_KEY: secretAccessKey,
    };
  }

  /** A server; its name is its role behind the cluster's first letters. */
  async server(labels: Record<string, string>): Promise<void> {
    const { action, next_actions } = await this.client.expect(201, "POST", "/servers", {
      name: `${labels["stack"] ?? "other"}-${(labels["cluster-id"] ?? "").slice(0, 6).toLowerCase()}-${labels["role"] ?? "x"}`,
      server_type: "cpx22",
      image: "ubuntu-24.04",
      location: "fsn1",
      labels,
    });
    await this.client.wait(action, ...next_actions);
  }

  /** Control plane, one broker and a network. */
  async cluster(cluster: LabelledCluster): Promise<void> {
    await this.server(labelsOf(cluster, "k3s-control"));
    await this.server(labelsOf(cluster, "kafka"));
    await this.client.expect(201, "POST", "/networks", {
      name: `${cluster.stack}-${cluster.clusterId}`,
      ip_range: "10.0.0.0/16",
      labels: labelsOf(cluster, "network"),
    });
  }

  /** Names of servers and networks that are there. */
  names(): string[] {
    const { project } = this.client.hetzner;
    return [...project.servers(), ...project.networks()].map(({ name }) => name).sort();
  }

  archive({ stack, businessDate, clusterId }: LabelledCluster): ClusterArchive {
    const archive = openArchive(this.#store, { stack, businessDate, clusterId });
    this.#archives.push(archive);
    return archive;
  }

  /** A simulated archiver that answers the first request for a seal with a manifest that is there already. */
  async answerSeal(cluster: LabelledCluster, { generation, checksum }: Manifest): Promise<void> {
    const archive = this.archive(cluster);
    const { requestId } = await until("a seal is asked for", () =>
      archive.read(documents.sealRequest, sealRequestSchema),
    );
    await archive.write(documents.sealProgress, {
      requestId,
      state: "sealed",
      message: "sealed",
      updatedAt: new Date().toISOString(),
      generation,
      manifestChecksum: checksum,
    } satisfies SealProgress);
  }

  async stop(): Promise<void> {
    for (const { store } of this.#archives) store.close();
    await this.client.hetzner.close();
  }
}

/** Who receives notices and heartbeats, over real HTTP. */
export async function startEar() {
  const told: { kind: string; text: string; cluster: string | null; price_per_hour_eur: string | null }[] =
    [];
  const beats: string[] = [];
  const ear = { told, beats, isDeaf: false };
  const server = createServer((request, response) => {
    let body = "";
    request.on("data", (data: Buffer) => (body += data.toString()));
    request.on("end", () => {
      if (request.method === "GET") beats.push(request.url ?? "");
      else if (!ear.isDeaf) told.push(JSON.parse(body) as (typeof told)[number]);
      response.writeHead(request.method === "POST" && ear.isDeaf ? 403 : 200).end();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return Object.assign(ear, {
    environment: { TRADING_WEBHOOK_URL: `${url}/hook`, TRADING_HEARTBEAT_URL: `${url}/beat` },
    stop: async () => {
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeAllConnections();
      await closed;
    },
  });
}
