/**
 * Where the archiver finds evidence in the lab: there is no Kubernetes API to ask and no Prometheus, but the pods are
 * processes with log files, and each shows its metrics.
 */

/** The archiver's variables; see `evidenceVariables` of the archive. */
export function evidenceEnvironment(
  logDirectory: string,
  pods: readonly { name: string; port: number }[],
): Record<string, string> {
  return {
    EVIDENCE_KUBERNETES_NAMESPACES: "",
    EVIDENCE_PROMETHEUS_URL: "",
    EVIDENCE_LOG_DIRECTORY: logDirectory,
    EVIDENCE_SCRAPE_URLS: pods.map(({ name, port }) => `${name}=http://127.0.0.1:${port}/metrics`).join(","),
  };
}
