import assert from "node:assert/strict";
import { test } from "node:test";
import { chartImages, k3s } from "../../components/versions.ts";
import { definitionModules } from "./definitions.ts";
import { kubernetesVersion } from "./install.ts";

const tagOf = (image: string): string | undefined => image.split(":").at(-1);

test("definitions are those of the versions that the charts install", () => {
  assert.equal(definitionModules.prometheusOperator.version, tagOf(chartImages.prometheusOperator));
  assert.equal(definitionModules.argoCd.version, tagOf(chartImages.argoCd));
});

test("the control plane is of k3s's minor version", () => {
  const minor = (version: string): string => version.split(".").slice(0, 2).join(".");
  assert.equal(minor(kubernetesVersion), minor(k3s.version));
});
