/**
 * Why a compacted file is not shorter: archived values, thin maps, the retained log.
 *
 * Invariant: the figures are of one moment only if nothing commits meanwhile, since the marks of
 * all maps are read in turns. It changes nothing.
 */

import { markArchived, markContinues, pageBytes } from '../../format/layout.ts';
import type { RunningOperation } from '../../util/operations/running-operation.ts';
import type { MarkPage } from '../marks/mark-page.ts';
import type { StoreCore } from '../state/core.ts';
import { thinMaps } from './thin-values.ts';

/** A map is thin if at most this share of its grains has values. */
export const thinFill = 0.5;

export interface HeldSpace {
  /** Bytes of archived values that no checkpoint has freed: see `statistics().oldestGuard`. */
  readonly heldByArchivedBytes: number;
  /** Bytes of free grains in maps of which values take at most half. */
  readonly heldByThinMapsBytes: number;
  /** Bytes of the log after the checkpoint: it is not moved. */
  readonly heldByLogBytes: number;
}

export async function heldSpace(
  { atlas, log }: StoreCore,
  operation: RunningOperation,
): Promise<HeldSpace> {
  let heldByArchivedBytes = 0;
  let heldByThinMapsBytes = 0;
  for (const { stratum, map } of thinMaps(atlas, thinFill)) {
    heldByThinMapsBytes += (map.grains - map.committedGrains) * stratum.grainBytes;
  }
  for (const stratum of [...atlas.strata()]) {
    if (stratum.archivedValues === 0) continue;
    for (const map of [...stratum.maps]) {
      for (const page of stratum.pagesOf(map)) {
        heldByArchivedBytes += archivedGrains(page) * stratum.grainBytes;
        await operation.breathe();
      }
    }
  }
  let heldByLogBytes = 0;
  for (const { pages } of log.extents) heldByLogBytes += pages * pageBytes;
  return { heldByArchivedBytes, heldByThinMapsBytes, heldByLogBytes };
}

function archivedGrains(page: MarkPage): number {
  let grains = 0;
  let isArchived = false;
  for (let at = 0; at < page.grains; at++) {
    const mark = page.mark(at);
    if (mark !== markContinues) isArchived = mark === markArchived;
    if (isArchived) grains += 1;
  }
  return grains;
}
