/** The `tls` package: PrivateKey, with its PEM and OpenSSH forms. */
import { createHash, createPublicKey, generateKeyPair, type KeyObject } from "node:crypto";
import { promisify } from "node:util";
import { z } from "zod";
import { numeric, type ProviderPackage, type ResourceDefinition } from "../provider.ts";
import { openSshForms } from "./openssh-key.ts";

const generate = promisify(generateKeyPair);

const schema = z.strictObject({
  algorithm: z.enum(["RSA", "ECDSA", "ED25519"]),
  rsaBits: numeric.optional(),
  ecdsaCurve: z.enum(["P224", "P256", "P384", "P521"]).optional(),
});

async function makeKey(inputs: z.infer<typeof schema>): Promise<KeyObject> {
  switch (inputs.algorithm) {
    case "RSA":
      return (await generate("rsa", { modulusLength: inputs.rsaBits ?? 2048 })).privateKey;
    case "ECDSA":
      return (await generate("ec", { namedCurve: (inputs.ecdsaCurve ?? "P224").replace("P", "P-") }))
        .privateKey;
    case "ED25519":
      return (await generate("ed25519")).privateKey;
  }
}

/** The traditional form where there is one, PKCS #8 for Ed25519. */
function pem(key: KeyObject, algorithm: string): string {
  const type = algorithm === "RSA" ? "pkcs1" : algorithm === "ECDSA" ? "sec1" : "pkcs8";
  return key.export({ format: "pem", type }).toString();
}

const privateKey: ResourceDefinition = {
  inputs: schema,
  replaceOn: "all",
  withoutSideEffects: true,
  secretOutputs: ["privateKeyPem", "privateKeyPemPkcs8", "privateKeyOpenssh"],
  create: async (values) => {
    const inputs = schema.parse(values);
    const key = await makeKey(inputs);
    const publicKey = createPublicKey(key);
    const der = publicKey.export({ format: "der", type: "spki" });
    const openSsh = openSshForms(key);
    return {
      id: createHash("sha1").update(der).digest("hex"),
      outputs: {
        algorithm: inputs.algorithm,
        rsaBits: inputs.rsaBits ?? 2048,
        ecdsaCurve: inputs.ecdsaCurve ?? "P224",
        privateKeyPem: pem(key, inputs.algorithm),
        privateKeyPemPkcs8: key.export({ format: "pem", type: "pkcs8" }).toString(),
        privateKeyOpenssh: openSsh?.privateKey ?? "",
        publicKeyPem: publicKey.export({ format: "pem", type: "spki" }).toString(),
        publicKeyOpenssh: openSsh?.publicKey ?? "",
        publicKeyFingerprintMd5: openSsh?.fingerprintMd5 ?? "",
        publicKeyFingerprintSha256: openSsh?.fingerprintSha256 ?? "",
      },
    };
  },
  delete: async () => undefined,
};

const resources: Record<string, ResourceDefinition> = { "tls:index/privateKey:PrivateKey": privateKey };

export const tls: ProviderPackage = {
  name: "tls",
  configuration: z.strictObject({}),
  configure: () => ({ resource: (type) => resources[type], known: Object.keys(resources) }),
};
