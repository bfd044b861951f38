/**
 * Runs a part of the Pulumi program against Pulumi's mocks and records what it asks of the engine: every
 * resource with its inputs and options. For tests.
 */
import * as pulumi from "@pulumi/pulumi";
import { MockMonitor } from "@pulumi/pulumi/runtime/mocks.js";

/** One resource as it was registered. */
export interface Registered {
  urn: string;
  type: string;
  name: string;
  custom: boolean;
  /** Inputs with secrets unwrapped. */
  inputs: Record<string, unknown>;
  /** Paths of the inputs that were marked secret, for example `userData` or `environment.S3_ACCESS_KEY_ID`. */
  secretInputs: string[];
  parent: string;
  /** URN and id (`<urn>::<id>`) of the explicit provider; empty when there is none. */
  provider: string;
  dependencies: string[];
  deletedWith: string;
  ignoreChanges: string[];
  additionalSecretOutputs: string[];
}

/** A call of a provider's function. */
export interface Invoked {
  token: string;
  inputs: unknown;
}

export interface Recording {
  resources: Registered[];
  invokes: Invoked[];
  /** @throws Error when there is not exactly one. */
  one(type: string, name?: string): Registered;
  all(type: string): Registered[];
}

/** What the SDK sends of a resource, as far as it is read here. */
interface RegisterRequest {
  getType(): string;
  getName(): string;
  getCustom(): boolean;
  getParent(): string;
  getProvider(): string;
  getDependenciesList(): string[];
  getDeletedwith(): string;
  getIgnorechangesList(): string[];
  getAdditionalsecretoutputsList(): string[];
  getObject(): { toJavaScript(): Record<string, unknown> };
}

interface RegisterResponse {
  getUrn(): string;
}

type Answer = (error: unknown, response: RegisterResponse | undefined) => void;
type Register = (this: MockMonitor, request: RegisterRequest, callback: Answer) => Promise<void>;

const signature = "4dabf18193072939515e22adb298388d";
const secretSignature = "1b47061264138c4ac30d75fd1eb44270";

function isSecret(value: unknown): value is { value: unknown } {
  return typeof value === "object" && value !== null && Reflect.get(value, signature) === secretSignature;
}

function unwrap(value: unknown): unknown {
  if (isSecret(value)) return unwrap(value.value);
  if (Array.isArray(value)) return value.map(unwrap);
  if (typeof value === "object" && value !== null) {
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, unwrap(inner)]));
  }
  return value;
}

function secretPaths(value: unknown, path: string): string[] {
  if (isSecret(value)) return [path];
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([key, inner]) =>
    secretPaths(inner, path === "" ? key : `${path}.${key}`),
  );
}

/** What k3s writes, with its local address. */
export const exampleKubeconfig = `apiVersion: v1
clusters:
  - cluster:
      certificate-authority-data: Q0E=
      server: https://127.0.0.1:6443
    name: default
contexts:
  - context: { cluster: default, user: default }
    name: default
current-context: default
kind: Config
users:
  - name: default
    user: { client-certificate-data: Q0VSVA==, client-key-data: S0VZ }
`;

/** Server types as the Hetzner API lists them, with what this program reads. */
export function serverType(
  name: string,
  size: { cores: number; memory: number },
  locations: Record<string, "available" | "sold out" | "deprecated">,
) {
  return {
    name,
    architecture: "x86",
    ...size,
    locations: Object.entries(locations).map(([location, state]) => ({
      name: location,
      available: state !== "sold out",
      isDeprecated: state === "deprecated",
    })),
  };
}

/** Answers of the Hetzner functions. */
export interface HetznerAnswers {
  serverTypes: ReturnType<typeof serverType>[];
  locations: { name: string; networkZone: string }[];
  servers: { labels: Record<string, string>; serverType: string; location: string }[];
}

/** As in summer 2026: the first generation is deprecated in the EU. */
export const defaultAnswers: HetznerAnswers = {
  serverTypes: [
    serverType("cpx21", { cores: 3, memory: 4 }, { fsn1: "deprecated", nbg1: "deprecated" }),
    serverType("cpx31", { cores: 4, memory: 8 }, { fsn1: "deprecated", nbg1: "deprecated" }),
    serverType("cpx22", { cores: 2, memory: 4 }, { fsn1: "available", nbg1: "available" }),
    serverType("cpx32", { cores: 4, memory: 8 }, { fsn1: "available", nbg1: "available" }),
  ],
  locations: ["fsn1", "nbg1", "hel1"].map((name) => ({ name, networkZone: "eu-central" })),
  servers: [],
};

/** The outputs that a provider would compute, by type of resource. */
function outputs(type: string, name: string, inputs: Record<string, unknown>): Record<string, unknown> {
  switch (type) {
    case "random:index/randomString:RandomString":
    case "random:index/randomPassword:RandomPassword":
      return {
        result: name
          .replaceAll(/[^a-zA-Z0-9]/g, "")
          .padEnd(Number(inputs["length"]), "x")
          .slice(0, Number(inputs["length"])),
      };
    case "tls:index/privateKey:PrivateKey":
      return {
        privateKeyOpenssh: `-----BEGIN OPENSSH PRIVATE KEY-----\n${name}\n-----END OPENSSH PRIVATE KEY-----\n`,
        publicKeyOpenssh: `ssh-ed25519 ${name}\n`,
      };
    case "hcloud:index/server:Server":
      return { ipv4Address: `192.0.2.${name.length}`, status: "running" };
    case "command:remote:Command":
      return {
        stdout: String(inputs["create"]).endsWith("print-kubeconfig") ? exampleKubeconfig : "",
        stderr: "",
      };
    default:
      return {};
  }
}

export interface RecordOptions {
  /** Name of the stack. Default: dev. */
  stack?: string;
  /** What the Hetzner functions answer. Default: `defaultAnswers`. */
  answers?: HetznerAnswers;
}

/**
 * Runs `build` and waits until everything that it registered has been answered.
 * @throws whatever the program throws. (An output that fails ends the test as an unhandled rejection.)
 */
export async function record(build: () => unknown, options: RecordOptions = {}): Promise<Recording> {
  const answers = options.answers ?? defaultAnswers;
  const resources: Registered[] = [];
  const invokes: Invoked[] = [];

  const answer = Reflect.get(MockMonitor.prototype, "registerResource") as Register;
  MockMonitor.prototype.registerResource = function (request: RegisterRequest, callback: Answer) {
    return answer.call(this, request, (error: unknown, response: RegisterResponse | undefined) => {
      if (response !== undefined) {
        const inputs = request.getObject().toJavaScript();
        resources.push({
          urn: response.getUrn(),
          type: request.getType(),
          name: request.getName(),
          custom: request.getCustom(),
          inputs: unwrap(inputs) as Record<string, unknown>,
          secretInputs: secretPaths(inputs, ""),
          parent: request.getParent(),
          provider: request.getProvider(),
          dependencies: request.getDependenciesList(),
          deletedWith: request.getDeletedwith(),
          ignoreChanges: request.getIgnorechangesList(),
          additionalSecretOutputs: request.getAdditionalsecretoutputsList(),
        });
      }
      callback(error, response);
    });
  };

  try {
    await pulumi.runtime.setMocks(
      {
        call: ({ token, inputs }) => {
          invokes.push({ token, inputs });
          switch (token) {
            case "hcloud:index/getServerTypes:getServerTypes":
              return { id: "types", serverTypes: answers.serverTypes };
            case "hcloud:index/getLocations:getLocations":
              return { id: "locations", locations: answers.locations };
            case "hcloud:index/getServers:getServers":
              return { id: "servers", servers: answers.servers };
            default:
              throw new Error(`no answer for ${token}`);
          }
        },
        newResource: ({ type, name, inputs }) => {
          const given = unwrap(inputs) as Record<string, unknown>;
          const id = type.startsWith("hcloud:") ? String(1000 + resources.length) : `${name}-id`;
          return { id, state: { ...given, ...outputs(type, name, given) } };
        },
      },
      "trading",
      options.stack ?? "dev",
    );
    await build();
    await pulumi.runtime.disconnect();
  } finally {
    MockMonitor.prototype.registerResource = answer;
  }

  const all = (type: string) => resources.filter((resource) => resource.type === type);
  return {
    resources,
    invokes,
    all,
    one(type, name) {
      const found = all(type).filter((resource) => name === undefined || resource.name === name);
      const [only] = found;
      if (only === undefined || found.length !== 1) {
        throw new Error(
          `${found.length} resources of type ${type} ${name ?? ""}; there are:\n` +
            resources.map((resource) => `${resource.type} ${resource.name}`).join("\n"),
        );
      }
      return only;
    },
  };
}
