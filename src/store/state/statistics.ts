/**
 * A store's statistics: sizes, counts, and its work since it was opened.
 *
 * Invariant: sizes and counts cover only the published batches. Work in flight is not included, nor
 * is a batch whose publishing takes several turns. The only fact read from the file is its length.
 */

import { pageBytes } from '../../format/layout.ts';
import type { StoreCore } from './core.ts';
import type { StoreStatistics, StratumStatistics } from './store-statistics.ts';

/** `length`: that of the file, if it is known. Throws `VARVE_IO` if it must be read and cannot. */
export function statisticsOf(core: StoreCore, length?: number): StoreStatistics {
  const { statisticsBefore: before } = core;
  const memory = core.budget.statistics();
  if (before !== undefined) return { ...before, oldestGuard: core.guards.oldest, memory };
  const { atlas, space, counters, writer } = core;
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
  const fileBytes = length ?? core.reader.length();
  // Maps with only reservations may end beyond the file's end.
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
    syncs: writer.syncs,
    bytesWritten: writer.bytesWritten,
    memory,
    strata,
  };
}
