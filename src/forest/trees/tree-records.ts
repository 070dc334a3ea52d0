/**
 * The records of trees that are in memory, for the durable version of the forest and all held ones.
 *
 * Invariants:
 * - A version finds the newest record that is not newer than itself. Other records are in the
 *   version's own catalog, which never changes.
 * - A commit costs as much as it changes, however many trees and versions there are.
 * - Records that the catalog of a held version lacks stay here. The number of others is bounded.
 * - A lookup of a tree that does not exist leaves nothing.
 *
 * It reads nothing.
 */

import { assert } from '../../util/assert.ts';
import type { TreeRecord } from './tree-record.ts';

/** Records that the catalog has too, at most. They are kept because they hold nodes in memory. */
const storedMaxDefault = 10_000;

interface Entry {
  /** Undefined if the tree was dropped. */
  readonly record: TreeRecord | undefined;
  /** The first version that is known to have this record. */
  readonly from: number;
  /** The first version whose catalog has this record. */
  stored: number;
  /** The record before, while a held version needs it. */
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
  /** Trees whose current record is in no catalog yet. */
  readonly #unstored = new Set<string>();
  /** Held versions, oldest first, with their number of holds. */
  readonly #held = new Map<number, number>();
  #replaced: Replaced[] = [];
  #replacedDone = 0;
  /** Evict when more records than this are in a catalog too. */
  #evictAt: number;

  readonly #storedMax: number;
  /** The durable version. */
  #newest = 0;

  /** `records`: those of the first version that are in no catalog. */
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

  /** The record as of a version; undefined if the version's catalog must be searched. */
  find(name: string, version: number): { readonly record: TreeRecord | undefined } | undefined {
    let entry = this.#entries.get(name);
    while (entry !== undefined && entry.from > version) entry = entry.older;
    return entry;
  }

  /**
   * Keeps a record that was found in a version's catalog. The record of an older version is not
   * kept: newer versions would find it if their own was evicted.
   */
  read(name: string, version: number, record: TreeRecord): void {
    assert(version <= this.#newest, 'a record is of a version that is known');
    if (version !== this.#newest || this.#entries.has(name)) return;
    this.#entries.set(name, { record, from: version, stored: version, older: undefined });
    this.#evictIfMany();
  }

  /**
   * Takes in the records that a version changes. `lacking`: the trees whose current record its
   * catalog lacks, if its catalog is not the one before.
   */
  change(
    version: number,
    changed: ReadonlyMap<string, TreeRecord | undefined>,
    lacking: ReadonlySet<string> | undefined,
  ): void {
    assert(version > this.#newest, 'a version comes after those before it');
    this.#newest = version;
    for (const [name, record] of changed) {
      const older = this.#held.size > 0 ? this.#entries.get(name) : undefined;
      if (older !== undefined) this.#replaced.push({ name, at: version });
      this.#entries.set(name, { record, from: version, stored: Number.POSITIVE_INFINITY, older });
      this.#unstored.add(name);
    }
    if (lacking !== undefined) this.#store(version, lacking);
    this.#evictIfMany();
  }

  #store(version: number, lacking: ReadonlySet<string>): void {
    for (const name of this.#unstored) {
      if (lacking.has(name)) continue;
      (this.#entries.get(name) as Entry).stored = version;
      this.#unstored.delete(name);
    }
  }

  hold(version: number): void {
    this.#held.set(version, (this.#held.get(version) ?? 0) + 1);
  }

  release(version: number): void {
    const rest = (this.#held.get(version) ?? 0) - 1;
    assert(rest >= 0, 'a hold of a version is released once');
    if (rest > 0) this.#held.set(version, rest);
    else this.#held.delete(version);
    this.#forgetReplaced();
  }

  /** Forgets replaced records that no held version needs any more. */
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
    assert(done <= this.#replaced.length, 'replaced records are forgotten once');
    this.#replacedDone = done;
    if (done * 2 < this.#replaced.length) return;
    this.#replaced = this.#replaced.slice(done);
    this.#replacedDone = 0;
  }

  get #oldestHeld(): number {
    // Only the newest version gets a first hold, so the keys are in order.
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
    // Records that held versions need stay: raise the bound, or each call would look at them again.
    const kept = this.#entries.size - this.#unstored.size;
    this.#evictAt = kept < this.#storedMax ? this.#storedMax : kept * 2;
  }

  /** Every version that may look for the record finds it in its own catalog. */
  #mayGo({ from, stored, older }: Entry): boolean {
    return older === undefined && (stored <= from || stored <= this.#oldestHeld);
  }
}
