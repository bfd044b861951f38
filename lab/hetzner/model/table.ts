/** The resources of one kind in a project. */
import { notFound, notUnique } from "../errors.ts";
import type { NamedRecord } from "./records.ts";

export class Table<T extends NamedRecord> {
  readonly #records = new Map<number, T>();
  readonly #kind: string;

  /** @param kind as the API names it in errors, for example `server` */
  constructor(kind: string) {
    this.#kind = kind;
  }

  all(): T[] {
    return [...this.#records.values()];
  }

  find(id: number): T | undefined {
    return this.#records.get(id);
  }

  /** @throws ApiError `not_found` */
  get(id: number): T {
    const record = this.#records.get(id);
    if (record === undefined) throw notFound(this.#kind, id);
    return record;
  }

  add(record: T): T {
    this.#records.set(record.id, record);
    return record;
  }

  remove(record: T): void {
    this.#records.delete(record.id);
  }

  /** @throws ApiError `uniqueness_error` when another record has the name */
  checkNameFree(name: string, except?: T): void {
    if (this.all().some((record) => record !== except && record.name === name))
      throw notUnique("name", this.#kind);
  }
}
