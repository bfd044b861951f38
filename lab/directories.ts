/** Where the lab keeps its files: by default all of it below `.lab/` in this clone, none of it in Git. */
import path from "node:path";
import { fileURLToPath } from "node:url";

/** The repository's root: the Pulumi project and the services' working directory. */
export const projectDirectory = path.resolve(fileURLToPath(import.meta.url), "../..");

const home = path.join(projectDirectory, ".lab");

/** `LAB_DIRECTORY` gives a day a folder of its own, so that tests can run beside a person's day. */
const root = process.env["LAB_DIRECTORY"] ?? home;

export const labDirectories = {
  root,
  /** Downloads that all runs in this clone share: Kafka's jars, the S3 server. */
  cache: path.join(home, "cache"),
  /** Pids of running children, see processes.ts. */
  processes: path.join(root, "processes"),
  /** Data of the S3 server: the archives of all days of this clone. */
  objectStore: path.join(root, "s3"),
  /** Data of parts that were started alone. */
  parts: path.join(root, "parts"),
  /** Logs of the services and brokers of the last day. */
  logs: path.join(root, "logs"),
  /** Brokers' data of the running day. */
  kafka: path.join(root, "kafka"),
  /** Volumes of the running day's StatefulSets. */
  volumes: path.join(root, "volumes"),
  /** Kubernetes objects as rendered; may hold secrets, removed at exit. */
  rendered: path.join(root, "rendered"),
  /** Certificates, data and logs of the day's Kubernetes control plane; the logs stay. */
  kubernetes: path.join(root, "kubernetes"),
  /** The engine's state files, one per stack. */
  state: path.join(root, "state"),
} as const;

/** Files that a person or a script reads. */
export const labFiles = {
  endpoints: path.join(root, "endpoints.json"),
  summary: path.join(root, "summary.json"),
  report: path.join(root, "report.html"),
  lock: path.join(root, "day.lock"),
} as const;
