import assert from "node:assert/strict";
import test from "node:test";
import { catalog } from "../../services/catalog.ts";
import { nodePlansOf } from "../nodes.ts";
import { chartImages, charts, helmJobImage, serviceImages } from "../versions.ts";
import { imagesAhead, registryOf } from "./images-ahead.ts";

const services = catalog.map(({ name }) => `ghcr.io/trading-cz/${name}:v1.2.3`);
const release = { registry: "ghcr.io/trading-cz", version: "v1.2.3" };

test("each node of a cluster fetches what will run on it, what others wait for first", () => {
  const of = (node: "k3s-control" | "kafka-0" | "kafka-1" | "kafka-2") =>
    imagesAhead("cluster", node, release);
  assert.deepEqual(of("kafka-2"), [chartImages.kafka]);
  assert.deepEqual(of("kafka-1"), [chartImages.strimziOperator, chartImages.kafka]);
  assert.deepEqual(of("kafka-0"), [
    chartImages.kafka,
    chartImages.prometheusOperator,
    chartImages.prometheus,
    chartImages.prometheusConfigReloader,
    chartImages.kubeStateMetrics,
  ]);
  assert.deepEqual(of("k3s-control"), [helmJobImage, chartImages.argoCd, chartImages.redis, ...services]);
});

test("a single node fetches everything, each image once", () => {
  const [plan, ...others] = nodePlansOf("single-node");
  assert.deepEqual(others, []);
  const images = imagesAhead("single-node", plan?.nodeName ?? "kafka-0", release);
  assert.deepEqual(new Set(images), new Set([helmJobImage, ...Object.values(chartImages), ...services]));
  assert.equal(images.length, new Set(images).size);
});

test("every image is pinned by a tag that is not a moving one, and names its registry", () => {
  for (const image of imagesAhead("single-node", "k3s-control", serviceImages)) {
    assert.match(image, /^[a-z0-9.-]+\.[a-z]+\/[a-z0-9./-]+:v?\d[\w.-]*$/);
  }
  assert.ok(chartImages.kafka.includes(`:${charts.strimzi.version}-kafka-`));
});

test("the registry of an image", () => {
  assert.deepEqual(
    ["ghcr.io/a/b:1", "localhost:5000/a", "localhost/a", "rancher/pause:3", "redis"].map(registryOf),
    ["ghcr.io", "localhost:5000", "localhost", "docker.io", "docker.io"],
  );
});
