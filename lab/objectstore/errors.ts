/** What can go wrong with the lab's S3 server, each as a type of its own. */

/** The S3 server could not be fetched. */
export class ObjectStoreInstallError extends Error {
  override readonly name = "ObjectStoreInstallError";
}

/** The port that the S3 server was to listen on is taken. */
export class ObjectStorePortInUseError extends Error {
  override readonly name = "ObjectStorePortInUseError";
  readonly port: number;

  constructor(port: number) {
    super(
      `The S3 server cannot listen on 127.0.0.1:${port}: already in use. End what listens there, or choose another port.`,
    );
    this.port = port;
  }
}

/** The S3 server ended, or did not answer in time. */
export class ObjectStoreStartError extends Error {
  override readonly name = "ObjectStoreStartError";
  readonly lastLines: readonly string[];

  /**
   * @param what one sentence: what the server did or failed to do.
   * @param logFile its whole log.
   * @param lastLines the end of that log.
   */
  constructor(what: string, logFile: string, lastLines: readonly string[]) {
    const lines = lastLines.length === 0 ? ["(it logged nothing)"] : lastLines;
    super(
      `${what} Its whole log: ${logFile}. Its last lines:\n${lines.map((line) => `  ${line}`).join("\n")}`,
    );
    this.lastLines = lastLines;
  }
}
