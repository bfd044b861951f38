/** What the venue servers share of handling sockets. */
import type { Server } from "node:http";
import { setTimeout as delay } from "node:timers/promises";
import type { WebSocket, WebSocketServer } from "ws";

/** A venue's port is taken. */
export class VenuePortInUseError extends Error {
  override readonly name = "VenuePortInUseError";

  constructor(venue: string, port: number) {
    super(
      `The ${venue} server cannot listen on 127.0.0.1:${port}: already in use. End what listens there, or choose another port.`,
    );
  }
}

/**
 * Listens on loopback.
 * @param port 0 for a free one.
 * @returns the port.
 * @throws VenuePortInUseError when it is taken.
 */
export async function listenOnLoopback(server: Server, port: number, venue: string): Promise<number> {
  await new Promise<void>((resolve, reject) => {
    server.once("error", (error: NodeJS.ErrnoException) =>
      reject(error.code === "EADDRINUSE" ? new VenuePortInUseError(venue, port) : error),
    );
    server.listen({ host: "127.0.0.1", port, exclusive: true }, resolve);
  });
  const address = server.address();
  return typeof address === "object" && address !== null ? address.port : port;
}

/** Ends every connection and the server. */
export async function closeServer(server: Server, ...webSockets: readonly WebSocketServer[]): Promise<void> {
  for (const webSocketServer of webSockets) {
    for (const socket of webSocketServer.clients) socket.terminate();
    webSocketServer.close();
  }
  server.closeAllConnections();
  await new Promise<void>((resolve) => server.close(() => resolve()));
}

/** Unsent bytes above which a replay waits for its subscriber. */
const fullBytes = 1_000_000;

/** Waits until a subscriber's socket has room again, or is closed. */
export async function whenWritable(socket: WebSocket, signal?: AbortSignal): Promise<void> {
  while (socket.readyState === socket.OPEN && socket.bufferedAmount > fullBytes) {
    await delay(5, undefined, { signal });
  }
}

/**
 * Waits until the other side has read everything sent so far (it answers a ping in order), or is gone.
 * @param deadlineMs when it does not answer: a subscriber that is stuck must not hold up the replay's end.
 */
export async function whenRead(socket: WebSocket, deadlineMs = 10_000): Promise<void> {
  if (socket.readyState !== socket.OPEN) return;
  await new Promise<void>((resolve) => {
    const finish = () => {
      clearTimeout(timer);
      socket.off("pong", finish);
      socket.off("close", finish);
      resolve();
    };
    const timer = setTimeout(finish, deadlineMs);
    socket.once("pong", finish);
    socket.once("close", finish);
    socket.ping();
  });
}
