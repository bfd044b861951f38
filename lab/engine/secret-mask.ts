/**
 * Keeps secrets out of everything that people or files see: each secret value that passes through the engine is
 * remembered, and every message is searched for it. Wrapped values are masked by their wrapping already; this
 * catches what a command, an error or a log line carries in its text.
 */
import { eachSecret, type PropertyMap, type PropertyValue } from "./properties.ts";

/** Shorter values (a port, "true") are in too many innocent texts to be replaced. */
const minimumLength = 6;

/**
 * The SDK makes a remote command's whole `connection` secret. Its address and user are not, and an error that
 * does not say where it happened helps nobody.
 */
const publicMembers: ReadonlySet<string> = new Set(["host", "user"]);

export class SecretMask {
  readonly #values = new Set<string>();
  #longestFirst: string[] | undefined = [];

  /** Remembers a secret text: whole, each of its lines, its base64 form and its JSON form. */
  add(secret: string): void {
    const lines = secret.split("\n").map((line) => line.trim());
    const forms = [
      secret.trim(),
      ...lines.filter((line) => line.length >= 16 && !line.startsWith("-----")),
      Buffer.from(secret).toString("base64"),
      JSON.stringify(secret).slice(1, -1),
    ];
    for (const form of forms) {
      if (form.length < minimumLength || this.#values.has(form)) continue;
      this.#values.add(form);
      this.#longestFirst = undefined;
    }
  }

  /** Remembers every secret inside a property value: its texts, however deep. */
  addFrom(value: PropertyValue): void {
    eachSecret(value, (secret) => this.#addTexts(secret));
  }

  #addTexts(value: PropertyValue): void {
    if (typeof value === "string") this.add(value);
    else if (Array.isArray(value)) value.forEach((inner: PropertyValue) => this.#addTexts(inner));
    else if (typeof value === "object" && value !== null) {
      for (const [key, inner] of Object.entries(value)) {
        if (!publicMembers.has(key)) this.#addTexts(inner);
      }
    }
  }

  /** The text with every remembered secret replaced by `[secret]`. */
  apply(text: string): string {
    this.#longestFirst ??= [...this.#values].sort((left, right) => right.length - left.length);
    let result = text;
    for (const secret of this.#longestFirst) {
      if (result.includes(secret)) result = result.replaceAll(secret, "[secret]");
    }
    return result;
  }

  /** As `apply`, for every text in a map. */
  applyToMap(map: PropertyMap): PropertyMap {
    return JSON.parse(JSON.stringify(map), (_key, value: unknown) =>
      typeof value === "string" ? this.apply(value) : value,
    ) as PropertyMap;
  }
}
