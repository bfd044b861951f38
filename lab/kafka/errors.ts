/** What can go wrong with the lab's Kafka, each as a type of its own. */

/** Kafka's libraries could not be fetched. */
export class KafkaInstallError extends Error {
  override readonly name = "KafkaInstallError";
}

/** A port that a broker was to listen on is taken. */
export class KafkaPortInUseError extends Error {
  override readonly name = "KafkaPortInUseError";
  readonly ports: readonly number[];

  /** @param ports every taken port of those that were asked for. */
  constructor(ports: readonly number[], detail = "") {
    super(
      `Kafka cannot listen on 127.0.0.1:${ports.join(", 127.0.0.1:")}: already in use${detail}. ` +
        "End what listens there, or choose another first port (three consecutive ports are needed).",
    );
    this.ports = ports;
  }
}

/** A broker ended, or did not answer in time. */
export class KafkaStartError extends Error {
  override readonly name = "KafkaStartError";
  readonly lastLines: readonly string[];

  /**
   * @param what one sentence: which broker, and what it did or failed to do.
   * @param logFile the broker's whole log.
   * @param lastLines the end of that log.
   */
  constructor(what: string, logFile: string, lastLines: readonly string[]) {
    const lines = lastLines.length === 0 ? ["(it logged nothing)"] : lastLines;
    super(`${what} Its whole log: ${logFile}. Its last lines:\n${lines.map((l) => `  ${l}`).join("\n")}`);
    this.lastLines = lastLines;
  }
}
