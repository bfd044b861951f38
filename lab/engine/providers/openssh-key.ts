/** OpenSSH's own forms of keys: `ssh-ed25519 AAAA…` (RFC 4253, 5656, 8709) and `openssh-key-v1` (PROTOCOL.key). */
import { createHash, type KeyObject, randomBytes } from "node:crypto";

function field(value: Buffer | string): Buffer {
  const content = Buffer.from(value);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(content.length);
  return Buffer.concat([length, content]);
}

/** A positive multiple-precision integer: no leading zeros but the one that keeps the sign positive. */
function integer(base64url: string): Buffer {
  let bytes = Buffer.from(base64url, "base64url");
  while (bytes.length > 1 && bytes[0] === 0) bytes = bytes.subarray(1);
  return field((bytes[0] ?? 0) >= 0x80 ? Buffer.concat([Buffer.from([0]), bytes]) : bytes);
}

const curves: Record<string, string> = { "P-256": "nistp256", "P-384": "nistp384", "P-521": "nistp521" };

interface Parts {
  algorithm: string;
  /** Everything after the algorithm in the public blob. */
  publicFields: Buffer;
  /** Everything after the algorithm in the private section. */
  privateFields: Buffer;
}

/** undefined: OpenSSH has no form for this key (ECDSA P-224). */
function partsOf(privateKey: KeyObject): Parts | undefined {
  // Neither has JWK a name for it.
  if (privateKey.asymmetricKeyDetails?.namedCurve === "secp224r1") return undefined;
  const {
    kty,
    crv,
    x = "",
    y = "",
    d = "",
    n = "",
    e = "",
    p = "",
    q = "",
    qi = "",
  } = privateKey.export({
    format: "jwk",
  });
  if (kty === "OKP") {
    const point = Buffer.from(x, "base64url");
    return {
      algorithm: "ssh-ed25519",
      publicFields: field(point),
      privateFields: Buffer.concat([
        field(point),
        field(Buffer.concat([Buffer.from(d, "base64url"), point])),
      ]),
    };
  }
  if (kty === "RSA") {
    return {
      algorithm: "ssh-rsa",
      publicFields: Buffer.concat([integer(e), integer(n)]),
      privateFields: Buffer.concat([n, e, d, qi, p, q].map(integer)),
    };
  }
  const curve = curves[crv ?? ""];
  if (kty !== "EC" || curve === undefined) return undefined;
  const point = Buffer.concat([Buffer.from([4]), Buffer.from(x, "base64url"), Buffer.from(y, "base64url")]);
  const publicFields = Buffer.concat([field(curve), field(point)]);
  return {
    algorithm: `ecdsa-sha2-${curve}`,
    publicFields,
    privateFields: Buffer.concat([publicFields, integer(d)]),
  };
}

/** The OpenSSH forms of a key pair. Texts end with a newline, as the real provider's do. */
export interface OpenSshForms {
  publicKey: string;
  privateKey: string;
  /** `aa:bb:…` */
  fingerprintMd5: string;
  /** `SHA256:…` */
  fingerprintSha256: string;
}

/** @returns undefined when OpenSSH has no form for this kind of key */
export function openSshForms(key: KeyObject): OpenSshForms | undefined {
  const parts = partsOf(key);
  if (parts === undefined) return undefined;
  const blob = Buffer.concat([field(parts.algorithm), parts.publicFields]);
  const check = randomBytes(4);
  const section = Buffer.concat([check, check, field(parts.algorithm), parts.privateFields, field("")]);
  const padding = Buffer.from(
    Array.from({ length: (8 - (section.length % 8)) % 8 }, (_, index) => index + 1),
  );
  const one = Buffer.alloc(4);
  one.writeUInt32BE(1);
  const file = Buffer.concat([
    Buffer.from("openssh-key-v1\0"),
    field("none"),
    field("none"),
    field(""),
    one,
    field(blob),
    field(Buffer.concat([section, padding])),
  ]);
  const body = file.toString("base64").replace(/.{1,70}/g, "$&\n");
  const md5 = createHash("md5").update(blob).digest("hex");
  return {
    publicKey: `${parts.algorithm} ${blob.toString("base64")}\n`,
    privateKey: `-----BEGIN OPENSSH PRIVATE KEY-----\n${body}-----END OPENSSH PRIVATE KEY-----\n`,
    fingerprintMd5: (md5.match(/../g) ?? []).join(":"),
    fingerprintSha256: `SHA256:${createHash("sha256").update(blob).digest("base64").replace(/=+$/, "")}`,
  };
}
