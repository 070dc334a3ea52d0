/**
 * What a store says of itself: sizes, counts, what it has done since it was opened.
 *
 * Invariant: sizes and counts are those of the published batches; work under way is not in them.
 * Reads nothing of the file but its length.
 */

import { pageBytes } from '../format/layout.ts';
import type { BatchId } from './batch-id.ts';
import type { StoreCore } from './core.ts';

export interface StoreStatistics {
  readonly fileBytes: number;
  /** Bytes of committed values, archived ones included. */
  readonly valueBytes: number;
  readonly values: number;
  readonly archivedValues: number;
  /** Bytes that new values can take before the file grows: free grains and free pages. */
  readonly freeBytes: number;
  /** Bytes of the records that are kept: those after the checkpoint. */
  readonly commitLogBytes: number;
  /** The batch that the oldest live guard holds. */
  readonly oldestGuard: BatchId | undefined;
  /** Since open. */
  readonly commits: number;
  readonly sessionsCommitted: number;
  readonly syncs: number;
  readonly bytesWritten: number;
  /** One row for each stratum: grain size in bytes, grains free and allocated. */
  readonly strata: readonly StratumStatistics[];
}

export interface StratumStatistics {
  readonly basin: number;
  readonly stratum: number;
  readonly grainBytes: number;
  readonly allocated: number;
  readonly free: number;
}

export function statisticsOf(core: StoreCore): StoreStatistics {
  const { atlas, space, counters } = core;
  let valueBytes = 0;
  let values = 0;
  let archivedValues = 0;
  const strata: StratumStatistics[] = [];
  for (const stratum of atlas.strata()) {
    valueBytes += stratum.valueBytes;
    values += stratum.values;
    archivedValues += stratum.archivedValues;
    strata.push({
      basin: stratum.basin,
      stratum: stratum.number,
      grainBytes: stratum.grainBytes,
      allocated: stratum.allocatedGrains,
      free: stratum.totalGrains - stratum.allocatedGrains,
    });
  }
  const fileBytes = core.reader.length();
  // Maps that only reservations were made in may lie, in part, where the file has yet to grow.
  const afterEnd = fileBytes - space.endPage * pageBytes;
  const freeBytes = atlas.freeGrainBytes() + space.freePages * pageBytes + afterEnd;
  return {
    fileBytes,
    valueBytes,
    values,
    archivedValues,
    freeBytes: Math.max(0, freeBytes),
    commitLogBytes: core.log.retainedBytes,
    oldestGuard: core.guards.oldest,
    ...counters,
    strata,
  };
}
