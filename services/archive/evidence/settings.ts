/** Which evidence is collected, by the environment. A source that is not configured is not looked for. */
import type { z } from "zod";
import { integer, list, text, url } from "../../core/config.ts";
import type { EvidenceSource } from "./collect.ts";
import { KubernetesEvidence } from "./kubernetes.ts";
import { LogFileEvidence } from "./log-files.ts";
import { PrometheusEvidence } from "./prometheus.ts";
import { type ScrapeTarget, ScrapeEvidence } from "./scrape.ts";

/** Where Kubernetes mounts a service account's files. */
const serviceAccount = "/var/run/secrets/kubernetes.io/serviceaccount";

/** For `readConfig`. */
export const evidenceVariables = {
  /** Longest time for all evidence together. */
  EVIDENCE_SECONDS: integer(1, 3_600).default(120),
  /** Namespaces whose pods' logs and events are kept, comma separated. */
  EVIDENCE_KUBERNETES_NAMESPACES: list.default([]),
  EVIDENCE_KUBERNETES_URL: url("http", "https").default("https://kubernetes.default.svc"),
  EVIDENCE_KUBERNETES_TOKEN_FILE: text.default(`${serviceAccount}/token`),
  EVIDENCE_KUBERNETES_CA_FILE: text.default(`${serviceAccount}/ca.crt`),
  /** Prometheus, whose samples are kept. */
  EVIDENCE_PROMETHEUS_URL: url("http", "https").optional(),
  /** A directory of log files. */
  EVIDENCE_LOG_DIRECTORY: text.optional(),
  /** Metrics endpoints, comma separated, each as `name=http://host:port/metrics`. */
  EVIDENCE_SCRAPE_URLS: list
    .transform((items, context) =>
      items.map((item): ScrapeTarget => {
        const at = item.indexOf("=");
        const target = { name: item.slice(0, at), url: item.slice(at + 1) };
        if (at < 1 || !URL.canParse(target.url) || !/^https?:/.test(target.url)) {
          context.addIssue(`expected name=http://host:port/metrics, found ${item}`);
        }
        return target;
      }),
    )
    .default([]),
};

/** The sources that the environment names. */
export function evidenceSources(config: z.output<z.ZodObject<typeof evidenceVariables>>): EvidenceSource[] {
  const sources: EvidenceSource[] = [];
  const namespaces = config.EVIDENCE_KUBERNETES_NAMESPACES;
  if (namespaces.length > 0) {
    sources.push(
      new KubernetesEvidence({
        url: config.EVIDENCE_KUBERNETES_URL,
        tokenFile: config.EVIDENCE_KUBERNETES_TOKEN_FILE,
        caFile: config.EVIDENCE_KUBERNETES_CA_FILE,
        namespaces,
      }),
    );
  }
  if (config.EVIDENCE_PROMETHEUS_URL !== undefined) {
    sources.push(new PrometheusEvidence(config.EVIDENCE_PROMETHEUS_URL));
  }
  if (config.EVIDENCE_LOG_DIRECTORY !== undefined) {
    sources.push(new LogFileEvidence(config.EVIDENCE_LOG_DIRECTORY));
  }
  if (config.EVIDENCE_SCRAPE_URLS.length > 0) sources.push(new ScrapeEvidence(config.EVIDENCE_SCRAPE_URLS));
  return sources;
}
