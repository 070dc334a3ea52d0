/**
 * The records of trees that are known in memory, for every version of the forest that is durable or
 * still held.
 *
 * Invariant: a version finds the newest record that is not newer than itself; what is not here is
 * in the version's own catalog, which never changes. A commit costs as much as it changes, however
 * many trees and versions there are. Records that the catalog of some held version lacks stay here;
 * of the others it keeps a bounded number. A tree that was asked for and does not exist leaves
 * nothing. Reads nothing.
 */

import type { TreeRecord } from './tree-record.ts';

/** Records that the catalog has, and that are kept so that their nodes stay at hand. */
const storedMaxDefault = 10_000;

interface Entry {
  /** Undefined if the tree was dropped. */
  readonly record: TreeRecord | undefined;
  /** The first version that has this record, as far as it is known. */
  readonly from: number;
  /** The first version whose catalog has this record. */
  stored: number;
  /** The record before, while some held version needs it. */
  older: Entry | undefined;
}

/** A record that was replaced while an older version was held. */
interface Replaced {
  readonly name: string;
  /** The version that replaced it. */
  readonly at: number;
}

export class TreeRecords {
  readonly #entries = new Map<string, Entry>();
  /** Trees whose present record is in no catalog yet. */
  readonly #unstored = new Set<string>();
  /** Versions that are held, oldest first, and how often. */
  readonly #held = new Map<number, number>();
  #replaced: Replaced[] = [];
  #replacedDone = 0;
  /** Evict when so many records are in a catalog too. */
  #evictAt: number;

  readonly #storedMax: number;
  /** The durable version. */
  #newest = 0;

  /** `records`: what the first version has that is in no catalog. */
  constructor(records: ReadonlyMap<string, TreeRecord | undefined>, storedMax = storedMaxDefault) {
    this.#storedMax = storedMax;
    this.#evictAt = storedMax;
    for (const [name, record] of records) {
      this.#entries.set(name, {
        record,
        from: 0,
        stored: Number.POSITIVE_INFINITY,
        older: undefined,
      });
      this.#unstored.add(name);
    }
  }

  /** Trees whose records are in memory. */
  get size(): number {
    return this.#entries.size;
  }

  /** The record as of a version; undefined where its catalog is to be asked. */
  find(name: string, version: number): { readonly record: TreeRecord | undefined } | undefined {
    let entry = this.#entries.get(name);
    while (entry !== undefined && entry.from > version) entry = entry.older;
    return entry;
  }

  /**
   * A version's catalog has this record. That of an older version is not kept: a newer one that had
   * been evicted would be mistaken for it.
   */
  read(name: string, version: number, record: TreeRecord): void {
    if (version !== this.#newest || this.#entries.has(name)) return;
    this.#entries.set(name, { record, from: version, stored: version, older: undefined });
    this.#evictIfMany();
  }

  /** What a version changes. `stored`: everything is in its catalog. */
  change(
    version: number,
    changed: ReadonlyMap<string, TreeRecord | undefined>,
    isStored: boolean,
  ): void {
    this.#newest = version;
    for (const [name, record] of changed) {
      const older = this.#held.size > 0 ? this.#entries.get(name) : undefined;
      if (older !== undefined) this.#replaced.push({ name, at: version });
      this.#entries.set(name, { record, from: version, stored: Number.POSITIVE_INFINITY, older });
      this.#unstored.add(name);
    }
    if (isStored) this.#store(version);
    this.#evictIfMany();
  }

  #store(version: number): void {
    for (const name of this.#unstored) (this.#entries.get(name) as Entry).stored = version;
    this.#unstored.clear();
  }

  hold(version: number): void {
    this.#held.set(version, (this.#held.get(version) ?? 0) + 1);
  }

  release(version: number): void {
    const rest = (this.#held.get(version) ?? 0) - 1;
    if (rest > 0) this.#held.set(version, rest);
    else this.#held.delete(version);
    this.#forgetReplaced();
  }

  /** Forgets the records that only versions had which nobody holds any more. */
  #forgetReplaced(): void {
    const oldest = this.#oldestHeld;
    let done = this.#replacedDone;
    for (; done < this.#replaced.length; done++) {
      const { name, at } = this.#replaced[done] as Replaced;
      if (at > oldest) break;
      let entry = this.#entries.get(name);
      while (entry !== undefined && entry.from > at) entry = entry.older;
      if (entry !== undefined) entry.older = undefined;
    }
    this.#replacedDone = done;
    if (done * 2 < this.#replaced.length) return;
    this.#replaced = this.#replaced.slice(done);
    this.#replacedDone = 0;
  }

  get #oldestHeld(): number {
    // Only the durable version is newly held, so they are in their order.
    for (const version of this.#held.keys()) return version;
    return Number.MAX_SAFE_INTEGER;
  }

  #evictIfMany(): void {
    if (this.#entries.size <= this.#evictAt + this.#unstored.size) return;
    const target = this.#storedMax * (3 / 4) + this.#unstored.size;
    for (const [name, entry] of this.#entries) {
      if (this.#entries.size <= target) break;
      if (this.#mayGo(entry)) this.#entries.delete(name);
    }
    // What held versions need stays: it is not looked at again and again.
    const kept = this.#entries.size - this.#unstored.size;
    this.#evictAt = kept < this.#storedMax ? this.#storedMax : kept * 2;
  }

  /** Every version that may ask for the record finds it in its own catalog. */
  #mayGo({ from, stored, older }: Entry): boolean {
    return older === undefined && (stored <= from || stored <= this.#oldestHeld);
  }
}
