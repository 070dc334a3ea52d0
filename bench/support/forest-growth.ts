/**
 * What the child of `forest-scaling` is told and what it answers.
 *
 * Invariant: plain data, on one line of JSON each. Times are milliseconds for one entry.
 */

import type { ProcessMemory } from './process-memory.ts';

export interface ForestTask {
  readonly path: string;
  /** Entries that are loaded before anything else is measured. */
  readonly count: number;
  /** Transactions of random keys. */
  readonly transactions: number;
  readonly gets: number;
  readonly cacheBytes: number;
}

export interface ForestAnswer {
  /** Of loading in the order of the keys: all of it, by the number of entries. */
  readonly load: number;
  /** Each transaction, by the number of its entries. */
  readonly inserts: readonly number[];
  readonly gets: number;
  /** When everything is done and nothing is closed yet. */
  readonly memory: ProcessMemory;
  readonly openBytes: number;
  /** Values that are not archived, after a checkpoint, for each entry. */
  readonly liveBytes: number;
}
