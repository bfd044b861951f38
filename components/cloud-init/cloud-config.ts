/** The part of cloud-init's cloud-config that the nodes use: https://cloudinit.readthedocs.io/en/latest/reference/modules.html */
import { stringify } from "yaml";

export interface WriteFile {
  path: string;
  content: string;
  /** Octal, for example `0644`. */
  permissions: string;
  owner?: string;
}

export interface CloudConfig {
  /** Delete the host keys that came with the image. */
  ssh_deletekeys: boolean;
  /** The host keys of this server; no other is made. */
  ssh_keys: { ed25519_private: string; ed25519_public: string };
  ssh_pwauth: boolean;
  package_update: boolean;
  package_upgrade: boolean;
  /** Runs early at every boot. */
  bootcmd: string[][];
  write_files: WriteFile[];
  /** Runs once, at the end of the first boot. */
  runcmd: string[][];
}

/** Hetzner takes at most this many bytes: https://docs.hetzner.cloud/reference/cloud#servers-create-a-server (user_data). */
export const userDataLimit = 32 * 1024;

/**
 * Renders user data.
 * @throws Error when it is larger than Hetzner takes.
 */
export function renderCloudConfig(config: CloudConfig): string {
  // cloud-init reads YAML 1.1, where `yes` and `0644` mean other things than in 1.2.
  const text = `#cloud-config\n${stringify(config, { version: "1.1", lineWidth: 0 })}`;
  const bytes = Buffer.byteLength(text);
  if (bytes > userDataLimit) {
    throw new Error(`the cloud-config has ${bytes} bytes; Hetzner takes at most ${userDataLimit}`);
  }
  return text;
}
