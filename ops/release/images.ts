/** The images of a release: one of every row of the catalog, in the registry that a stack's file names. */
import { catalog } from "../../services/catalog.ts";

/** One image to build. */
export interface ReleaseImage {
  /** The row's name, which is the image's as well. */
  service: string;
  /** `<registry>/<service>:<version>` */
  image: string;
}

/** @param registry with its path, such as `ghcr.io/trading-cz` @param version the tag, such as `v1.2.3` */
export function releaseImages(registry: string, version: string): ReleaseImage[] {
  return catalog.map(({ name }) => ({ service: name, image: `${registry}/${name}:${version}` }));
}
