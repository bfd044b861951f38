/** Whether a broker answers as a client needs it: its API versions, and a view of the whole cluster. */
import { Kafka, logLevel } from "kafkajs";

/**
 * Asks one broker, over a connection of its own, for its API versions and for the brokers it knows.
 * @param port the broker's client port on 127.0.0.1.
 * @param expected how many brokers it must see.
 * @returns false when it does not answer (yet) or sees fewer.
 */
export async function seesCluster(port: number, expected: number): Promise<boolean> {
  const client = new Kafka({
    clientId: "lab-readiness",
    brokers: [`127.0.0.1:${port}`],
    logLevel: logLevel.NOTHING,
    connectionTimeout: 1_000,
    requestTimeout: 2_000,
    retry: { retries: 0 },
  });
  const admin = client.admin();
  try {
    await admin.connect();
    const { brokers } = await admin.describeCluster();
    return brokers.length >= expected;
  } catch {
    return false;
  } finally {
    await admin.disconnect().catch(() => undefined);
  }
}
