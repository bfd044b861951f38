/** What a container of an image runs here, where there are no images: the program from its source. */
import { catalog } from "../../services/catalog.ts";
import { WorkloadError } from "./errors.ts";
import type { Container } from "./objects.ts";

/** `<registry>/<name>:<tag>` or `<registry>/<name>@<digest>`. */
const imageName = /([^/:@]+)(?::[^/:@]+)?(?:@[^/@]+)?$/;

/**
 * The program and its first arguments.
 * @param pod `<namespace>/<name>` of the workload, for the error.
 * @throws WorkloadError when the container has no command, and its image is none of the catalog's services
 */
export function programOf(container: Container, pod: string): readonly string[] {
  if (container.command.length > 0) return container.command;
  const name = imageName.exec(container.image)?.[1];
  const service = catalog.find((row) => row.name === name);
  if (service === undefined) {
    throw new WorkloadError(
      `${pod} cannot start: found the image "${container.image}" and no command, expected the image of a service: ` +
        `${catalog.map((row) => row.name).join(", ")}`,
    );
  }
  return ["node", "--import", "tsx", service.entry];
}
