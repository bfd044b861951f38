/** The `random` package: RandomString, RandomPassword, RandomId, RandomBytes and RandomUuid. */
import { randomBytes, randomInt, randomUUID } from "node:crypto";
import { z } from "zod";
import { numeric, type ProviderPackage, type ResourceDefinition, textMap } from "../provider.ts";
import type { PropertyMap } from "../properties.ts";

const lower = "abcdefghijklmnopqrstuvwxyz";
const upper = lower.toUpperCase();
const digits = "0123456789";
/** The special characters of the Terraform provider underneath. */
const special = "!@#$%&*()-_=+[]{}<>:?";

const keepers = textMap.optional();
const textSchema = z.strictObject({
  keepers,
  length: numeric.refine((length) => Number.isInteger(length) && length >= 1, "at least 1"),
  lower: z.boolean().optional(),
  upper: z.boolean().optional(),
  /** Deprecated form of `numeric`. */
  number: z.boolean().optional(),
  numeric: z.boolean().optional(),
  special: z.boolean().optional(),
  minLower: numeric.optional(),
  minUpper: numeric.optional(),
  minNumeric: numeric.optional(),
  minSpecial: numeric.optional(),
  overrideSpecial: z.string().optional(),
});
type TextInputs = z.infer<typeof textSchema>;

interface CharacterClass {
  characters: string;
  minimum: number;
}

function classes(inputs: TextInputs): CharacterClass[] {
  const each: [boolean | undefined, string, number | undefined][] = [
    [inputs.lower, lower, inputs.minLower],
    [inputs.upper, upper, inputs.minUpper],
    [inputs.numeric ?? inputs.number, digits, inputs.minNumeric],
    [inputs.special, inputs.overrideSpecial ?? special, inputs.minSpecial],
  ];
  return each
    .filter(([wanted]) => wanted !== false)
    .map(([, characters, minimum]) => ({ characters, minimum: minimum ?? 0 }));
}

function pick(characters: string): string {
  return characters.charAt(randomInt(characters.length));
}

/** A random text: the demanded minimum of each class, the rest from all, in random order. */
function makeText(inputs: TextInputs): string {
  const chosen = classes(inputs);
  const all = chosen.map(({ characters }) => characters).join("");
  const text = chosen.flatMap(({ characters, minimum }) =>
    Array.from({ length: minimum }, () => pick(characters)),
  );
  while (text.length < inputs.length) text.push(pick(all));
  for (let index = text.length - 1; index > 0; index -= 1) {
    const other = randomInt(index + 1);
    [text[index], text[other]] = [text[other] ?? "", text[index] ?? ""];
  }
  return text.join("");
}

function textProblems(values: PropertyMap): { property: string; reason: string }[] {
  const inputs = values as unknown as TextInputs;
  const chosen = classes(inputs);
  const demanded = chosen.reduce((sum, { minimum }) => sum + minimum, 0);
  return [
    ...(chosen.some(({ characters }) => characters !== "")
      ? []
      : [{ property: "", reason: "every kind of character is switched off" }]),
    ...(demanded > inputs.length
      ? [
          {
            property: "length",
            reason: `${inputs.length} is less than the ${demanded} characters that min* demand`,
          },
        ]
      : []),
  ];
}

const common = {
  replaceOn: "all",
  withoutSideEffects: true,
  delete: async () => undefined,
} as const satisfies Partial<ResourceDefinition>;

const randomText: ResourceDefinition = {
  ...common,
  inputs: textSchema,
  problems: textProblems,
  create: async (inputs) => {
    const result = makeText(inputs as unknown as TextInputs);
    return { id: result, outputs: { ...inputs, result } };
  },
};

/** The provider's defaults, so that they can be read back. */
function textDefaults(inputs: PropertyMap): PropertyMap {
  return {
    lower: true,
    upper: true,
    numeric: true,
    special: true,
    minLower: 0,
    minUpper: 0,
    minNumeric: 0,
    minSpecial: 0,
    ...inputs,
  };
}

function encodings(bytes: Buffer): Record<"hex" | "base64" | "base64url", string> {
  return {
    hex: bytes.toString("hex"),
    base64: bytes.toString("base64"),
    base64url: bytes.toString("base64url"),
  };
}

const resources: Record<string, ResourceDefinition> = {
  "random:index/randomString:RandomString": {
    ...randomText,
    create: async (inputs, context) => {
      const { id, outputs } = await randomText.create(inputs, context);
      return { id, outputs: textDefaults(outputs) };
    },
  },
  "random:index/randomPassword:RandomPassword": {
    ...randomText,
    secretOutputs: ["result", "bcryptHash"],
    // The real provider also gives a bcrypt hash; nothing here uses it, and reading it gives undefined.
    create: async (inputs, context) => {
      const { outputs } = await randomText.create(inputs, context);
      return { id: "none", outputs: textDefaults(outputs) };
    },
  },
  "random:index/randomId:RandomId": {
    ...common,
    inputs: z.strictObject({ keepers, byteLength: numeric, prefix: z.string().optional() }),
    create: async (inputs) => {
      const bytes = randomBytes(Number(inputs["byteLength"]));
      const { hex, base64, base64url } = encodings(bytes);
      const prefix = typeof inputs["prefix"] === "string" ? inputs["prefix"] : "";
      const decimal = BigInt(`0x${hex}`).toString();
      return {
        id: base64url,
        outputs: {
          ...inputs,
          hex: prefix + hex,
          b64Std: prefix + base64,
          b64Url: prefix + base64url,
          dec: prefix + decimal,
        },
      };
    },
  },
  "random:index/randomBytes:RandomBytes": {
    ...common,
    inputs: z.strictObject({ keepers, length: numeric }),
    secretOutputs: ["base64", "hex"],
    create: async (inputs) => {
      const { hex, base64 } = encodings(randomBytes(Number(inputs["length"])));
      return { id: randomUUID(), outputs: { ...inputs, hex, base64 } };
    },
  },
  "random:index/randomUuid:RandomUuid": {
    ...common,
    inputs: z.strictObject({ keepers }),
    create: async (inputs) => {
      const result = randomUUID();
      return { id: result, outputs: { ...inputs, result } };
    },
  },
};

export const random: ProviderPackage = {
  name: "random",
  configuration: z.strictObject({}),
  configure: () => ({ resource: (type) => resources[type], known: Object.keys(resources) }),
};
