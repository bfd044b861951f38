/** New Ed25519 keys. */
import ssh2 from "ssh2";

export interface KeyPair {
  /** OpenSSH's format. */
  private: string;
  /** OpenSSH's format: `ssh-ed25519 <base64>`. */
  public: string;
}

/** Public keys of the full 32 bytes begin so. */
const complete = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI";

/** Makes a key pair. ssh2 1.17 drops leading zero bytes, which spoils one pair in 256: such pairs are thrown away. */
export function newKeyPair(): KeyPair {
  for (;;) {
    const pair = ssh2.utils.generateKeyPairSync("ed25519");
    if (pair.public.startsWith(complete)) return { private: pair.private, public: pair.public };
  }
}
