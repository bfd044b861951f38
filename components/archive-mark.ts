/** Which bucket a cluster's archive is in, as a label that fits on everything at Hetzner and tells nobody its name. */
import { createHash } from "node:crypto";

/** Host names of addresses on this machine, as `URL.hostname` writes them. */
export const loopback = /^(localhost|127(\.\d{1,3}){3}|\[::1\])$/;

/**
 * The value of the label `archive`: 16 hexadecimal digits. What removes clusters asks a bucket whether they held data, and
 * the wrong bucket would always say that they never did.
 * @param endpoint URL of the S3 service; on this machine the port does not count
 */
export function archiveMark({ endpoint, bucket }: { endpoint: string; bucket: string }): string {
  const { hostname } = new URL(endpoint);
  const place = loopback.test(hostname) ? "loopback" : hostname.toLowerCase();
  return createHash("sha256").update(`${place}/${bucket}`).digest("hex").slice(0, 16);
}
