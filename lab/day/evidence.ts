/**
 * Where the archiver finds evidence in the lab: there is no Kubernetes API to ask and no Prometheus, but the pods are
 * processes with log files, and each shows its metrics. And what of it came into the archive.
 */
import { gunzipSync } from "node:zlib";
import type { ClusterArchive } from "../../services/archive/cluster-archive.ts";
import type { Manifest } from "../../services/archive/documents.ts";
import type { EvidenceIndex } from "../../services/archive/evidence/collect.ts";
import { secretsIn, type SecretSearch } from "./judge.ts";

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

/** What the archive holds beside the records. */
export interface ArchivedEvidence {
  /** For people: each source with its state and number of files, and what is missing. */
  lines: string[];
  search: SecretSearch;
}

/** Reads all evidence of a sealed day, and looks for secrets in it. @param secrets name to value. */
export async function readEvidence(
  archive: ClusterArchive,
  { evidence, carryOver }: Pick<Manifest, "evidence" | "carryOver">,
  secrets: Readonly<Record<string, string>>,
): Promise<ArchivedEvidence> {
  const read: ArchivedEvidence = { lines: [], search: { files: 0, found: [] } };
  for (const name of [
    ...evidence.map((file) => file.name),
    ...(carryOver === null ? [] : [carryOver.name]),
  ]) {
    const stored = await archive.get(name);
    if (stored === undefined) throw new Error(`${name} is missing, and the manifest names it`);
    const content = name.endsWith(".gz") ? gunzipSync(stored.body) : stored.body;
    read.search.files++;
    read.search.found.push(...secretsIn(content, name, secrets));
    if (!/^evidence\/\d+\/index\.json$/.test(name)) continue;
    const { sources } = JSON.parse(content.toString("utf8")) as EvidenceIndex;
    for (const { name: source, state, files, problems } of sources) {
      read.lines.push([`evidence: ${source} ${state}, ${files} files`, ...problems].join("; "));
    }
  }
  if (read.lines.length === 0) read.lines.push("evidence: none");
  return read;
}
