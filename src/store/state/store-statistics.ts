/**
 * The shape of a store's statistics.
 *
 * Invariant: types only, so that the core can keep statistics from before a batch; `statistics.ts`
 * computes them.
 */

import type { MemoryStatistics } from '../../util/memory-budget.ts';
import type { BatchId } from './batch-id.ts';

export interface StoreStatistics {
  readonly fileBytes: number;
  /** Bytes of committed values, archived ones included. */
  readonly valueBytes: number;
  readonly values: number;
  readonly archivedValues: number;
  /** Bytes that new values can take before the file grows: free grains and free pages. */
  readonly freeBytes: number;
  /** Bytes of the retained records: those after the checkpoint. */
  readonly commitLogBytes: number;
  /** The batch that the oldest live guard holds. */
  readonly oldestGuard: BatchId | undefined;
  /** Since open. */
  readonly commits: number;
  readonly sessionsCommitted: number;
  readonly syncs: number;
  readonly bytesWritten: number;
  /** The memory that shares `cacheBytes`. */
  readonly memory: MemoryStatistics;
  /**
   * One row for each stratum: grain size in bytes, free and allocated grains. The free ones include
   * those of maps that no commit has used yet.
   */
  readonly strata: readonly StratumStatistics[];
}

export interface StratumStatistics {
  readonly basin: number;
  readonly stratum: number;
  readonly grainBytes: number;
  readonly allocated: number;
  readonly free: number;
}
