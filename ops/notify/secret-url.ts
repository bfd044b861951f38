/** Addresses that are secrets: whoever knows one can write there. They come from the environment and are never shown. */

/**
 * Reads an address.
 * @param name of the environment variable, for the message
 * @param value undefined or empty when it is not set
 * @returns the address; what is wrong with it, without showing it; undefined when it is not set
 */
export function readSecretUrl(
  name: string,
  value: string | undefined,
): { url: URL } | { mistake: string } | undefined {
  const text = value?.trim() ?? "";
  if (text === "") return undefined;
  if (!URL.canParse(text)) return { mistake: `${name} is no URL; expected https://…` };
  const url = new URL(text);
  if (url.protocol === "https:" || (url.protocol === "http:" && isLoopback(url.hostname))) return { url };
  // Another scheme is not shown: what stands before a colon may be half of a secret.
  const found = url.protocol === "http:" ? "begins with http:" : "does not begin with https:";
  return {
    mistake: `${name} ${found}; expected https: (http: only for this very machine), since it is a secret`,
  };
}

function isLoopback(hostname: string): boolean {
  return hostname === "localhost" || hostname === "[::1]" || /^127(\.\d{1,3}){3}$/.test(hostname);
}
