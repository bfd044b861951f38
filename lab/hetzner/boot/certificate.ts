/** X.509 certificates (RFC 5280) for the simulated kubeconfig: a throwaway authority and one client, ECDSA on P-256. */
import { generateKeyPairSync, type KeyObject, randomBytes, sign } from "node:crypto";

const der = (tag: number, ...parts: Buffer[]): Buffer => {
  const content = Buffer.concat(parts);
  if (content.length < 128) return Buffer.concat([Buffer.from([tag, content.length]), content]);
  const length = Buffer.from(content.length.toString(16).padStart(content.length > 255 ? 4 : 2, "0"), "hex");
  return Buffer.concat([Buffer.from([tag, 0x80 | length.length]), length, content]);
};
const sequence = (...parts: Buffer[]) => der(0x30, ...parts);
const set = (...parts: Buffer[]) => der(0x31, ...parts);
const objectId = (hex: string) => der(0x06, Buffer.from(hex, "hex"));
const utf8 = (text: string) => der(0x0c, Buffer.from(text));
const octets = (content: Buffer) => der(0x04, content);
const bits = (content: Buffer) => der(0x03, Buffer.from([0]), content);
const yes = der(0x01, Buffer.from([0xff]));
const time = (date: Date) =>
  der(0x17, Buffer.from(`${date.toISOString().slice(2, 19).replaceAll(/[-:T]/g, "")}Z`));

// Object identifiers, DER-encoded.
const ids = {
  commonName: "550403",
  organization: "55040a",
  ecdsaWithSha256: "2a8648ce3d040302",
  basicConstraints: "551d13",
  keyUsage: "551d0f",
  extendedKeyUsage: "551d25",
  clientAuth: "2b06010505070302",
};

interface Name {
  commonName: string;
  organization?: string;
}

function encodeName(name: Name): Buffer {
  const attribute = (id: string, value: string) => set(sequence(objectId(id), utf8(value)));
  return sequence(
    ...(name.organization === undefined ? [] : [attribute(ids.organization, name.organization)]),
    attribute(ids.commonName, name.commonName),
  );
}

function pem(label: string, content: Buffer): string {
  const lines = content.toString("base64").match(/.{1,64}/g) ?? [];
  return `-----BEGIN ${label}-----\n${lines.join("\n")}\n-----END ${label}-----\n`;
}

function certificate(
  subject: Name,
  key: KeyObject,
  issuer: Name,
  issuerKey: KeyObject,
  authority: boolean,
): string {
  const now = Date.now();
  const extension = (id: string, value: Buffer) => sequence(objectId(id), yes, octets(value));
  const extensions = authority
    ? [
        extension(ids.basicConstraints, sequence(yes)),
        // keyCertSign
        extension(ids.keyUsage, der(0x03, Buffer.from([2, 0x04]))),
      ]
    : [
        // digitalSignature
        extension(ids.keyUsage, der(0x03, Buffer.from([7, 0x80]))),
        extension(ids.extendedKeyUsage, sequence(objectId(ids.clientAuth))),
      ];
  const serial = randomBytes(16);
  serial[0] = ((serial[0] ?? 0) & 0x7f) | 0x40;
  const algorithm = sequence(objectId(ids.ecdsaWithSha256));
  const body = sequence(
    der(0xa0, der(0x02, Buffer.from([2]))),
    der(0x02, serial),
    algorithm,
    encodeName(issuer),
    sequence(time(new Date(now - 60_000)), time(new Date(now + 365 * 86_400_000))),
    encodeName(subject),
    key.export({ type: "spki", format: "der" }),
    der(0xa3, sequence(...extensions)),
  );
  return pem("CERTIFICATE", sequence(body, algorithm, bits(sign("sha256", body, issuerKey))));
}

/** PEM texts of an authority's certificate and of a client's certificate and key, valid for a year. */
export interface ClientCredentials {
  authority: string;
  certificate: string;
  key: string;
}

/** Makes a new authority and one client certificate of it. */
export function createClientCredentials(authorityName: string, client: Name): ClientCredentials {
  const authority = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const keys = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const issuer = { commonName: authorityName };
  return {
    authority: certificate(issuer, authority.publicKey, issuer, authority.privateKey, true),
    certificate: certificate(client, keys.publicKey, issuer, authority.privateKey, false),
    key: keys.privateKey.export({ type: "sec1", format: "pem" }).toString(),
  };
}
