/**
 * A bill of materials of one service's image: the npm packages whose code its bundle holds, as CycloneDX
 * (https://cyclonedx.org/docs/1.6/json/). A scanner of the finished image does not find them, because a bundle has no
 * `node_modules`. What the base image holds is not in it.
 */

/** A CycloneDX document, as far as it is written here. */
export interface BillOfMaterials {
  bomFormat: "CycloneDX";
  specVersion: "1.6";
  version: 1;
  metadata: { component: { type: "container"; name: string } };
  components: { type: "library"; "bom-ref": string; name: string; version: string; purl: string }[];
}

/** @param packages versions by name, as the bundler reports them */
export function billOfMaterials(service: string, packages: ReadonlyMap<string, string>): BillOfMaterials {
  const components = [...packages]
    .sort(([one], [other]) => (one < other ? -1 : 1))
    .map(([name, version]) => {
      // https://github.com/package-url/purl-spec: a scope's @ is percent-encoded.
      const purl = `pkg:npm/${name.replace(/^@/, "%40")}@${version}`;
      return { type: "library" as const, "bom-ref": purl, name, version, purl };
    });
  return {
    bomFormat: "CycloneDX",
    specVersion: "1.6",
    version: 1,
    metadata: { component: { type: "container", name: service } },
    components,
  };
}
