/** Images on the machines of a cluster, as the kubelets of the nodes ask for them. */
import type { Machine } from "../hetzner/boot/machine.ts";
import { imagePullMs, imagePulls, megabytesOf } from "../hetzner/durations.ts";

/** Where a node's user data lists the images that it fetches ahead, one a line. */
const imageList = "/etc/trading/images.txt";

function holds(machine: Machine, image: string): boolean {
  return [...machine.pulledImages].some((held) => held.includes(image));
}

/** Whether the machine will have the image without being asked. */
function isFetchedAhead(machine: Machine, image: string): boolean {
  const lines = (machine.userData.files.get(imageList)?.content ?? "").split("\n");
  return lines.some((line) => line.includes(image) && !line.trim().startsWith("#"));
}

/** Pulls, one after the other on each node, as the kubelet does by default (serializeImagePulls). */
export class NodeImages {
  readonly #queues = new Map<Machine, Promise<void>>();

  /**
   * Resolves when the node holds an image: at once, when its fetching ahead comes to it, or after a pull.
   * That a pull shares the line with what is being fetched ahead is not modelled.
   * @param image its name, or a part that only one image of the node has
   */
  async demand(machine: Machine, image: string, signal: AbortSignal): Promise<void> {
    if (isFetchedAhead(machine, image)) {
      await machine.world.changes.until(() => holds(machine, image), Infinity, signal);
      return;
    }
    const before = this.#queues.get(machine) ?? Promise.resolve();
    const pull = before.then(() => this.#pull(machine, image, signal));
    this.#queues.set(machine, pull);
    await pull;
  }

  async #pull(machine: Machine, image: string, signal: AbortSignal): Promise<void> {
    if (signal.aborted || holds(machine, image)) return;
    const { latency, changes, timeline } = machine.world;
    const ended = timeline.begin(`server/${machine.hostname}`, `image ${image}`);
    const passed = await changes.pause(
      imagePullMs([megabytesOf(image)], latency.pulls ?? imagePulls.model),
      signal,
    );
    ended();
    if (!passed) return;
    machine.pulledImages.add(image);
    changes.notify();
  }
}
