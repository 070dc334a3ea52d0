/**
 * What the child that loads a forest for `memory` is told and what it answers.
 *
 * Invariant: plain data, on one line of JSON each.
 */

import type { ProcessMemory } from './process-memory.ts';

export interface ForestMemoryTask {
  readonly path: string;
  /** Entries, of 100 bytes under keys of 8. */
  readonly count: number;
  /** Entries of a transaction. */
  readonly together: number;
  readonly order: 'sorted' | 'random';
  /** Reads at random, after the load. */
  readonly gets: number;
}

export interface ForestMemoryAnswer {
  readonly budgetBytes: number;
  /** The most that the store has counted against its budget, after any transaction or read. */
  readonly countedMost: number;
  readonly loaded: ProcessMemory;
  /** After the reads. */
  readonly read: ProcessMemory;
}
