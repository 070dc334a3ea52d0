/**
 * The place of a grain in memory, and how a logged change of it is replayed.
 *
 * Invariant: the page of a spot is loaded. This file has shapes only: `stratum.ts` finds spots,
 * `replay.ts` names the batch.
 */

import type { GrainMap } from './grain-map.ts';
import type { MarkPage } from './mark-page.ts';

/** The place of a grain. */
export interface GrainSpot {
  readonly map: GrainMap;
  readonly page: MarkPage;
  /** Counted from the first grain of the page. */
  readonly at: number;
}

/** The batch that is replayed; `counted`: the basin's counters do not hold it yet. */
export interface ReplayOf {
  readonly batch: number;
  readonly counted: boolean;
}

/** A mark page that a settle must write. */
export interface DirtyPage {
  readonly stratum: { readonly basin: number; markWritten(page: MarkPage): void };
  readonly map: GrainMap;
  readonly page: MarkPage;
}
