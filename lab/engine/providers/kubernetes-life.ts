/** What a cluster makes of the objects that are applied to it, where somebody plays its part. */
import type { PropertyMap } from "../properties.ts";

/** Without one, rendered objects take no time. */
export interface KubernetesLife {
  /**
   * An object was applied.
   * @param object with its name and namespace
   * @param signal ends the wait early
   * @returns when the real provider would go on: at once for most kinds, when it is Ready or complete for those that
   *   the real provider awaits
   */
  applied(object: PropertyMap, signal: AbortSignal): Promise<void>;
}
