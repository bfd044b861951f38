/** Free ports on loopback for servers that cannot be told "any port" (a Java broker must know its own). */
import { createServer } from "node:net";

/** Whether nothing listens on 127.0.0.1:`port` (and on the wildcard address). */
export function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once("error", () => resolve(false));
    probe.listen({ host: "127.0.0.1", port, exclusive: true }, () => probe.close(() => resolve(true)));
  });
}

/**
 * A run of consecutive free ports on 127.0.0.1, below Linux's ephemeral range (32768 and up), so that no outgoing
 * connection takes one of them between this look and the server's start.
 * @param count how many.
 * @param except ports that are spoken for though nothing listens there yet.
 */
export async function findFreePorts(count: number, except: readonly number[] = []): Promise<number[]> {
  for (let attempt = 0; attempt < 200; attempt++) {
    const first = 20_000 + Math.floor(Math.random() * (12_000 - count));
    const ports = Array.from({ length: count }, (_, index) => first + index);
    if (ports.some((port) => except.includes(port))) continue;
    const free = await Promise.all(ports.map(isFree));
    if (free.every(Boolean)) return ports;
  }
  throw new Error(`no ${count} consecutive free ports between 20000 and 32000 on 127.0.0.1`);
}
