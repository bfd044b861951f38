/**
 * The state of a stack: what exists and what was being created. It is JSON with a readable header; the records themselves
 * are encrypted as a whole (scrypt, AES-256-GCM), so no secret, marked or not, is ever in clear on a disk or in a bucket.
 */
import { createCipheriv, createDecipheriv, randomBytes, scrypt } from "node:crypto";
import { promisify } from "node:util";
import { z } from "zod";
import { StateFormatError, WrongPassphraseError } from "./errors.ts";
import type { PropertyMap } from "./properties.ts";
import type { StateAccess } from "./state-place.ts";

/** Times as Pulumi writes them ("10m", "1h30m"); absent means no limit of the engine's own. */
export interface CustomTimeouts {
  create?: string;
  update?: string;
  delete?: string;
}

/** What the program declared about one resource. */
export interface Declared {
  urn: string;
  type: string;
  name: string;
  /** A custom resource is a provider's; the others are components. */
  custom: boolean;
  parent?: string;
  /** `<urn>::<id>` of the provider resource; absent for components and for default providers. */
  provider?: string;
  /** As checked: with defaults and generated names; secrets wrapped. */
  inputs: PropertyMap;
  dependencies: readonly string[];
  propertyDependencies: Readonly<Record<string, readonly string[]>>;
  deletedWith?: string;
  protect?: boolean;
  /** Its deletion only forgets it. */
  retainOnDelete?: boolean;
  customTimeouts?: CustomTimeouts;
  additionalSecretOutputs?: readonly string[];
}

/** A resource that exists. */
export interface ResourceRecord extends Declared {
  /** Empty for components. */
  id: string;
  /** Secrets wrapped. */
  outputs: PropertyMap;
  /** Replaced by a newer record of the same URN, and not deleted yet. */
  pendingDelete?: boolean;
  /** Why its creation did not end well; such a resource is replaced by the next run. */
  incomplete?: string;
}

/** Everything that is known of a stack. */
export interface StackState {
  /** In the order of creation. */
  resources: ResourceRecord[];
  /** Creations that were begun and whose end was not seen. */
  pendingCreations: Declared[];
}

const format = "trading-lab-state-1";
const keyBytes = 32;
const headerSchema = z.object({
  format: z.literal(format),
  project: z.string(),
  stack: z.string(),
  writtenAt: z.string(),
  encryption: z.object({
    method: z.literal("scrypt+aes-256-gcm"),
    cost: z.number().int(),
    salt: z.base64(),
    nonce: z.base64(),
    tag: z.base64(),
  }),
  sealed: z.base64(),
});
/** scrypt's N: about 50 ms and 16 MiB, once a run. */
const cost = 2 ** 14;

const derive = promisify<string, Buffer, number, { N: number }, Buffer>(scrypt);

/** The state of one stack, held open by one run. Writes are atomic and each includes all before it. */
export class StateStore {
  readonly state: StackState;
  readonly #access: StateAccess;
  readonly #project: string;
  readonly #stack: string;
  readonly #salt: Buffer;
  readonly #key: Buffer;
  #writing: Promise<void> | undefined;
  #next: Promise<void> | undefined;

  private constructor(
    access: StateAccess,
    identity: { project: string; stack: string },
    salt: Buffer,
    key: Buffer,
    state: StackState,
  ) {
    this.#access = access;
    this.state = state;
    this.#project = identity.project;
    this.#stack = identity.stack;
    this.#salt = salt;
    this.#key = key;
  }

  /**
   * Reads the state, or begins an empty one when there is none (which is then written by the first `save`).
   * @param identity whose state it must be
   * @throws WrongPassphraseError, StateFormatError
   */
  static async open(
    access: StateAccess,
    identity: { project: string; stack: string },
    passphrase: string,
  ): Promise<StateStore> {
    const text = await access.read();
    if (text === undefined) {
      const salt = randomBytes(16);
      const key = await derive(passphrase, salt, keyBytes, { N: cost });
      return new StateStore(access, identity, salt, key, { resources: [], pendingCreations: [] });
    }
    let json: unknown;
    try {
      json = JSON.parse(text);
    } catch {
      throw new StateFormatError(access.name, "this is not JSON, so not a state file of the lab engine.");
    }
    const header = headerSchema.safeParse(json);
    if (!header.success) {
      throw new StateFormatError(
        access.name,
        `this is not a state file of the lab engine (${format}):\n${z.prettifyError(header.error)}`,
      );
    }
    const { project, stack, encryption, sealed } = header.data;
    if (project !== identity.project || stack !== identity.stack) {
      throw new StateFormatError(
        access.name,
        `this is the state of ${project}/${stack}, not of ${identity.project}/${identity.stack}.`,
      );
    }
    const salt = Buffer.from(encryption.salt, "base64");
    const key = await derive(passphrase, salt, keyBytes, { N: encryption.cost });
    const decipher = createDecipheriv("aes-256-gcm", key, Buffer.from(encryption.nonce, "base64"));
    decipher.setAuthTag(Buffer.from(encryption.tag, "base64"));
    let clear: string;
    try {
      clear = Buffer.concat([decipher.update(sealed, "base64"), decipher.final()]).toString("utf8");
    } catch {
      throw new WrongPassphraseError(access.name);
    }
    return new StateStore(access, identity, salt, key, JSON.parse(clear) as StackState);
  }

  /**
   * Writes the state as it is now. Calls that come while a write is under way share the next one, so that many
   * resources that finish together cost few writes; each call resolves only when its own change is written.
   * @throws StateLostError
   */
  save(): Promise<void> {
    if (this.#writing === undefined) {
      this.#writing = this.#write().finally(() => {
        this.#writing = undefined;
      });
      return this.#writing;
    }
    this.#next ??= this.#writing
      .catch(() => undefined)
      .then(() => {
        this.#next = undefined;
        return this.save();
      });
    return this.#next;
  }

  async #write(): Promise<void> {
    const nonce = randomBytes(12);
    const cipher = createCipheriv("aes-256-gcm", this.#key, nonce);
    const sealed = Buffer.concat([cipher.update(JSON.stringify(this.state), "utf8"), cipher.final()]);
    const document: z.infer<typeof headerSchema> = {
      format,
      project: this.#project,
      stack: this.#stack,
      writtenAt: new Date().toISOString(),
      encryption: {
        method: "scrypt+aes-256-gcm",
        cost,
        salt: this.#salt.toString("base64"),
        nonce: nonce.toString("base64"),
        tag: cipher.getAuthTag().toString("base64"),
      },
      sealed: sealed.toString("base64"),
    };
    await this.#access.write(`${JSON.stringify(document, null, 2)}\n`);
  }

  /** Nothing is left of the stack. @throws StateLostError */
  async remove(): Promise<void> {
    await this.#writing;
    await this.#next;
    await this.#access.remove();
  }
}
