/** Finds the provider of a resource or a call: the one that it names, or its package's default. */
import { randomUUID } from "node:crypto";
import { EngineError, UnsupportedError } from "./errors.ts";
import { containsUnknown, type PropertyMap, plainMap } from "./properties.ts";
import {
  parseInputs,
  type Provider,
  type ProviderPackage,
  type ProviderSurroundings,
  type ResourceDefinition,
} from "./provider.ts";
import { command } from "./providers/command.ts";
import { hcloud } from "./providers/hcloud.ts";
import { kubernetes } from "./providers/kubernetes.ts";
import { random } from "./providers/random.ts";
import { tls } from "./providers/tls.ts";
import type { ResourceRecord, StackState } from "./state.ts";

const packages: ReadonlyMap<string, ProviderPackage> = new Map(
  [command, hcloud, kubernetes, random, tls].map((entry) => [entry.name, entry]),
);
const providerTypePrefix = "pulumi:providers:";

function packageOf(token: string): ProviderPackage {
  const name = token.split(":")[0] ?? "";
  const found = packages.get(name);
  if (found === undefined) {
    throw new UnsupportedError(
      `package ${name} (${token})`,
      `the lab knows ${[...packages.keys()].join(", ")}`,
    );
  }
  return found;
}

/** A provider resource is nothing but its configuration. */
function providerResource(entry: ProviderPackage): ResourceDefinition {
  return {
    inputs: entry.configuration,
    replaceOn: [],
    ...(entry.replaces === undefined ? {} : { replaces: entry.replaces.bind(entry) }),
    withoutSideEffects: true,
    create: async (inputs) => ({ id: randomUUID(), outputs: inputs }),
    update: async (_recorded, inputs) => inputs,
    delete: async () => undefined,
  };
}

export class Providers {
  readonly #configured = new Map<string, Provider>();
  readonly #state: StackState;
  readonly #config: Readonly<Record<string, string>>;
  readonly #surroundings: ProviderSurroundings;

  /** @param config the stack's configuration; `<package>:<key>` configures a default provider */
  constructor(
    state: StackState,
    config: Readonly<Record<string, string>>,
    surroundings: ProviderSurroundings = {},
  ) {
    this.#state = state;
    this.#config = config;
    this.#surroundings = surroundings;
  }

  /**
   * The definition of a resource type under the provider that the resource names.
   * @throws UnsupportedError when the package or the type is not there
   */
  definition(type: string, reference: string | undefined): ResourceDefinition {
    if (type.startsWith(providerTypePrefix)) {
      return providerResource(packageOf(type.slice(providerTypePrefix.length)));
    }
    const provider = this.#provider(packageOf(type), reference);
    const definition = provider.resource(type);
    if (definition === undefined) {
      throw new UnsupportedError(`resource type ${type}`, `known are ${provider.known.join(", ")}`);
    }
    return definition;
  }

  /** The provider of a function such as `hcloud:index/getImage:getImage`. */
  forFunction(token: string, reference: string | undefined): Provider {
    return this.#provider(packageOf(token), reference);
  }

  /** Whether the whole configuration of a provider is known; in a preview a part may not be. */
  isKnown(reference: string | undefined): boolean {
    return reference === undefined || !containsUnknown(this.#record(reference).inputs);
  }

  #provider(entry: ProviderPackage, reference: string | undefined): Provider {
    const configuration = this.#configuration(entry, reference);
    const key = `${entry.name} ${reference ?? ""} ${JSON.stringify(configuration)}`;
    let provider = this.#configured.get(key);
    if (provider === undefined) {
      provider = entry.configure(configuration, this.#surroundings);
      this.#configured.set(key, provider);
    }
    return provider;
  }

  #configuration(entry: ProviderPackage, reference: string | undefined): PropertyMap {
    if (reference === undefined) {
      const prefix = `${entry.name}:`;
      const given = Object.entries(this.#config)
        .filter(([key]) => key.startsWith(prefix))
        .map(([key, value]) => [key.slice(prefix.length), value]);
      return parseInputs(entry.configuration, Object.fromEntries(given) as PropertyMap);
    }
    return plainMap(this.#record(reference).inputs);
  }

  #record(reference: string): ResourceRecord {
    const separator = reference.lastIndexOf("::");
    const urn = reference.slice(0, separator);
    const id = reference.slice(separator + 2);
    const record = this.#state.resources.find((resource) => resource.urn === urn && resource.id === id);
    if (record === undefined) {
      throw new EngineError(
        "provider",
        `the provider ${reference} is not in the state; register it before its resources.`,
      );
    }
    return record;
  }
}
