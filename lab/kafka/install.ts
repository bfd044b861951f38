/**
 * Fetches Apache Kafka from Maven Central, by name through the ordinary client, into the lab's cache.
 * Kafka publishes its server as ordinary jars, so a small pom is all the "distribution" that the lab needs.
 */
import { createHash } from "node:crypto";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdir, open, readFile, rename, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { kafka as versions } from "../../components/versions.ts";
import { pomOf } from "../maven-pom.ts";
import { ProcessRegistry } from "../processes.ts";
import { KafkaInstallError } from "./errors.ts";

/** The Apache Kafka that the lab runs: the cluster's. 4.4.0 and 4.3.2 do not resolve completely from Maven Central. */
export const kafkaVersion = versions.version;

/** Longest that Maven may take; about 12 s are usual. */
const installDeadlineMs = 300_000;

/** What a set of jars is made of, and what is said while it is fetched. */
interface JarSet {
  /** Folder name in the cache, before the pom's fingerprint. */
  name: string;
  /** For people: what it is. */
  title: string;
  size: string;
  /** The pom's dependency elements, indented by four blanks. */
  dependencies: string;
}

const logging = `    <!-- Without a binding to log4j 2 the brokers log nothing. -->
    <dependency>
      <groupId>org.apache.logging.log4j</groupId>
      <artifactId>log4j-slf4j-impl</artifactId>
      <version>2.25.4</version>
    </dependency>`;

const server: JarSet = {
  name: `kafka-${kafkaVersion}`,
  title: `Apache Kafka ${kafkaVersion}`,
  size: "45 MB",
  dependencies: `    <dependency>
      <groupId>org.apache.kafka</groupId>
      <artifactId>kafka_2.13</artifactId>
      <version>${kafkaVersion}</version>
    </dependency>
${logging}`,
};

const tools: JarSet = {
  name: `kafka-tools-${kafkaVersion}`,
  title: `Apache Kafka's performance tools ${kafkaVersion}`,
  size: "60 MB",
  dependencies: `    <dependency>
      <groupId>org.apache.kafka</groupId>
      <artifactId>kafka-tools</artifactId>
      <version>${kafkaVersion}</version>
    </dependency>
${logging}
    <!-- A Java compiler that needs no JDK: the README asks for a JRE only. -->
    <dependency>
      <groupId>org.eclipse.jdt</groupId>
      <artifactId>ecj</artifactId>
      <version>3.33.0</version>
    </dependency>`,
};

/**
 * Makes Kafka's libraries available; does nothing when they are already there.
 * @param cacheDirectory the lab's cache, for example `.lab/cache`; about 45 MB are put there.
 * @param onProgress told what is being done, one short line at a time.
 * @param registry who ends Maven if the lab is stopped meanwhile; default: one of its own below the cache.
 * @returns the folder that holds the jars.
 * @throws KafkaInstallError when Maven is missing or fails, with Maven's own words.
 */
export function installKafka(
  cacheDirectory: string,
  onProgress: (line: string) => void = () => undefined,
  registry?: ProcessRegistry,
): Promise<string> {
  return install(server, cacheDirectory, onProgress, registry);
}

/**
 * Makes Kafka's own performance tools, and a Java compiler, available to the benchmarks. Same arguments, result and
 * errors as {@link installKafka}; about 60 MB. Ordinary days do not need them.
 */
export function installKafkaTools(
  cacheDirectory: string,
  onProgress: (line: string) => void = () => undefined,
  registry?: ProcessRegistry,
): Promise<string> {
  return install(tools, cacheDirectory, onProgress, registry);
}

async function install(
  jars: JarSet,
  cacheDirectory: string,
  onProgress: (line: string) => void,
  registry: ProcessRegistry | undefined,
): Promise<string> {
  const pom = pomOf("kafka", jars.dependencies);
  // Another pom is another folder: a new version never mixes with an old one's jars.
  const fingerprint = createHash("sha256").update(pom).digest("hex").slice(0, 12);
  const target = path.resolve(cacheDirectory, `${jars.name}-${fingerprint}`);
  const libraries = path.join(target, "libraries");
  const marker = path.join(target, "complete");
  if (existsSync(marker)) return libraries;

  onProgress(`fetching ${jars.title} (${jars.size}, once)`);
  // Built beside the target and renamed when whole, so that two installations at once cannot mix.
  const partial = `${target}.partial-${process.pid}`;
  await rm(partial, { recursive: true, force: true });
  await mkdir(partial, { recursive: true });
  try {
    await writeFile(path.join(partial, "pom.xml"), pom);
    await runMaven(jars, partial, registry ?? new ProcessRegistry(path.join(cacheDirectory, "processes")));
    await writeFile(path.join(partial, "complete"), new Date().toISOString());
    await rename(partial, target).catch(async (error: unknown) => {
      if (existsSync(marker)) return; // another installation was faster
      await rm(target, { recursive: true, force: true });
      await rename(partial, target).catch(() => Promise.reject(error as Error));
    });
  } finally {
    await rm(partial, { recursive: true, force: true });
  }
  return libraries;
}

async function runMaven(jars: JarSet, directory: string, registry: ProcessRegistry): Promise<void> {
  const logFile = path.join(directory, "maven.log");
  const log = await open(logFile, "w");
  try {
    const goal = ["dependency:copy-dependencies", "-DoutputDirectory=libraries", "-DincludeScope=runtime"];
    const maven = await registry
      .start("kafka-install", "mvn", ["-B", "-q", ...goal], {
        cwd: directory,
        stdio: ["ignore", log.fd, log.fd],
      })
      .catch((error: unknown) => {
        throw new KafkaInstallError(
          "Apache Kafka is fetched with Maven, which cannot be started. Install it (Debian: apt-get install maven) " +
            `and see that "mvn -version" works. ${String(error)}`,
        );
      });
    const late = AbortSignal.timeout(installDeadlineMs);
    const code = await Promise.race([maven.exited, once(late, "abort").then(() => "late" as const)]);
    if (code === 0) return;
    await maven.stop(1_000);
    const said = (await readFile(logFile, "utf8")).trim().split("\n").slice(-15).join("\n  ");
    throw new KafkaInstallError(
      `Maven could not fetch ${jars.title} ` +
        `(${code === "late" ? `not done after ${installDeadlineMs / 1_000} s` : `exit code ${code}`}). ` +
        `Check the network and Maven's settings, then run again. Maven said:\n  ${said}`,
    );
  } finally {
    await log.close();
  }
}
