/** Which image of each service an overlay names, in its kustomization and in the stack's file that it is rendered from. */
import { isMap, parse, parseDocument } from "yaml";
import { stackFileConfig, StackFileError } from "../../components/stack-file.ts";
import { UsageError } from "../run.ts";

/** A tag, or a digest. */
export type Pin = string;

/** By service. */
export type Pins = ReadonlyMap<string, Pin>;

/** `trading:images` of a stack's file. */
export interface StackImages {
  registry?: string;
  version?: string;
  versions?: Record<string, string>;
  digests?: Record<string, string>;
}

interface ImageEntry {
  name: string;
  newName?: string;
  newTag?: string;
  digest?: string;
}

/** Whether a pin names exactly one image. */
export function isDigest(pin: Pin): boolean {
  return /^sha256:[0-9a-f]{64}$/.test(pin);
}

const serviceOf = ({ name }: ImageEntry): string => name.slice(name.lastIndexOf("/") + 1);

/** Reads the images of a kustomization; what is none has none. */
export function pinsOf(kustomization: string): Map<string, Pin> {
  let images: unknown;
  try {
    images = (parse(kustomization) as { images?: unknown } | null)?.images;
  } catch {
    // A commit in which the file was broken tells nothing.
    return new Map();
  }
  const entries = Array.isArray(images) ? (images as ImageEntry[]) : [];
  return new Map(
    entries.flatMap((entry): [string, Pin][] => {
      const pin = entry.digest ?? entry.newTag;
      return pin === undefined ? [] : [[serviceOf(entry), pin]];
    }),
  );
}

/** A kustomization with other images; everything else stays as it is. */
export function withPins(kustomization: string, pins: Pins): string {
  const document = parseDocument(kustomization);
  const { images = [] } = document.toJS() as { images?: ImageEntry[] };
  images.forEach((entry, index) => {
    const pin = pins.get(serviceOf(entry));
    if (pin === undefined) return;
    const { name, newName } = entry;
    const named = { name, ...(newName === undefined ? {} : { newName }) };
    document.setIn(
      ["images", index],
      document.createNode({ ...named, ...(isDigest(pin) ? { digest: pin } : { newTag: pin }) }),
    );
  });
  return document.toString({ lineWidth: 0 });
}

/**
 * What a stack's file must say for an overlay to have some images.
 * @param before what the file says, and `version` what holds for it where it says nothing
 * @param pins of all services of the overlay
 */
export function stackImages(before: StackImages, version: string, pins: Pins): StackImages {
  const tags = [...pins.values()].filter((pin) => !isDigest(pin));
  const common = tags.length === 0 || tags.includes(version) ? version : mostFrequent(tags);
  // What is said of services that are not in the overlay (jobs are Pulumi's) stays.
  const kept = (map: Record<string, string> = {}) =>
    Object.entries(map).filter(([service]) => !pins.has(service));
  const versions = Object.fromEntries([
    ...kept(before.versions),
    ...[...pins].filter(([, pin]) => !isDigest(pin) && pin !== common),
  ]);
  const digests = Object.fromEntries([
    ...kept(before.digests),
    ...[...pins].filter(([, pin]) => isDigest(pin)),
  ]);
  const { versions: _versions, digests: _digests, ...others } = before;
  return {
    ...others,
    ...(common === version && before.version === undefined ? {} : { version: common }),
    ...(Object.keys(versions).length === 0 ? {} : { versions }),
    ...(Object.keys(digests).length === 0 ? {} : { digests }),
  };
}

function mostFrequent(values: readonly string[]): string {
  const counts = new Map<string, number>();
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
  return [...counts].reduce((best, next) => (next[1] > best[1] ? next : best))[0];
}

/**
 * `trading:images` of a stack's file, as the program reads it.
 * @param file its name, for messages
 * @throws UsageError when it is no object
 */
export function stackImagesIn(file: string, text: string): StackImages {
  const key = "trading:images";
  try {
    return stackFileConfig(file, text, [key])[key] ?? {};
  } catch (error) {
    throw error instanceof StackFileError ? new UsageError(error.message, { cause: error }) : error;
  }
}

/** A stack's file with other images; everything else, comments too, stays as it is. */
export function withStackImages(stackFile: string, images: StackImages): string {
  const document = parseDocument(stackFile);
  const path = ["config", "trading:images"];
  if (Object.keys(images).length === 0) document.deleteIn(path);
  else document.setIn(path, document.createNode(images));
  const config = document.get("config");
  return isMap(config) && config.items.length > 0
    ? document.toString({ lineWidth: 0, flowCollectionPadding: false })
    : stackFile;
}
