/** The thread that reads objects back, as the rest of the archiver uses it. */
import path from "node:path";
import { Worker } from "node:worker_threads";
import type { OffsetRange } from "./layout.ts";
import { ArchiveObjectError, type ObjectContent } from "./object.ts";
import type { ScanAnswer, ScanRequest } from "./read-back-worker.ts";
import type { ChainPoint } from "./record-hash.ts";

/** The thread's heap, in MiB: one line of 20 MB takes some times its size while it is decoded. */
const heapMiB = 160;
/** Most of what is decoded is garbage at once. */
const youngMiB = 6;

/** See the module's description. A thread that ends by itself (out of memory, say) is replaced at the next call. */
export class ObjectScanner {
  #worker: Worker | undefined;
  #nextId = 0;
  readonly #waiting = new Map<
    number,
    { resolve: (content: ObjectContent) => void; reject: (error: Error) => void; name: string }
  >();

  /**
   * What an object holds.
   * @param body its memory goes over to the thread: it must not be used afterwards.
   * @throws ArchiveObjectError when it is not made of records of its range; Error when the thread ended.
   */
  scan(name: string, range: OffsetRange, body: Buffer, before: Readonly<ChainPoint>): Promise<ObjectContent> {
    this.#worker ??= this.#start();
    const id = this.#nextId++;
    // Small buffers share memory with others: only a whole one can be handed over.
    const owned = body.byteLength === body.buffer.byteLength ? body : Uint8Array.from(body);
    const { topic, partition, first, last } = range;
    const request: ScanRequest = { id, name, range: { topic, partition, first, last }, body: owned, before };
    const worker = this.#worker;
    return new Promise<ObjectContent>((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject, name });
      worker.ref();
      worker.postMessage(request, [owned.buffer as ArrayBuffer]);
    }).finally(() => {
      // A thread that waits for work does not keep the process from ending.
      if (this.#waiting.size === 0) worker.unref();
    });
  }

  async close(): Promise<void> {
    await this.#worker?.terminate();
  }

  #start(): Worker {
    const worker = new Worker(threadEntry(), {
      // What the process was started with is for its main thread.
      execArgv: [],
      resourceLimits: { maxOldGenerationSizeMb: heapMiB, maxYoungGenerationSizeMb: youngMiB },
    });
    worker.on("message", ({ id, content, failure }: ScanAnswer) => {
      const asked = this.#waiting.get(id);
      this.#waiting.delete(id);
      if (content !== undefined) asked?.resolve(content);
      else asked?.reject(new ObjectScanError(asked.name, failure ?? "cannot be read"));
    });
    const ended = (error: Error): void => {
      if (this.#worker !== worker) return;
      this.#worker = undefined;
      for (const { reject } of this.#waiting.values()) reject(error);
      this.#waiting.clear();
    };
    worker.on("error", ended);
    worker.on("exit", (code) => ended(new Error(`the thread that reads back ended with ${code}`)));
    return worker;
  }
}

/** The thread's module beside this one, in TypeScript as here or in JavaScript as in an image. */
function threadEntry(): URL {
  const extension = path.extname(new URL(import.meta.url).pathname);
  const entry = new URL(`read-back-worker${extension}`, import.meta.url);
  const runsTypeScript = "typescript" in process.features && process.features.typescript !== false;
  if (extension === ".js" || runsTypeScript) return entry;
  // Node before 22.18 runs TypeScript with tsx only, whose `--import` does not reach into threads.
  const code = [
    `import { register } from ${JSON.stringify(import.meta.resolve("tsx/esm/api"))};`,
    "register();",
    `await import(${JSON.stringify(entry.href)});`,
  ];
  return new URL(`data:text/javascript,${encodeURIComponent(code.join("\n"))}`);
}

/** As the thread tells it: the message names the object already. */
class ObjectScanError extends ArchiveObjectError {
  constructor(object: string, message: string) {
    super(object, message.startsWith(`${object}: `) ? message.slice(object.length + 2) : message);
  }
}
