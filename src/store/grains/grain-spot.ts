/**
 * Where a grain is in memory, and as what a logged change of it is applied again.
 *
 * Invariant: a spot is of a loaded page. Shapes only: a stratum finds the spot (`stratum.ts`),
 * replay says of which batch the change is (`replay.ts`).
 */

import type { GrainMap } from './grain-map.ts';
import type { MarkPage } from './mark-page.ts';

/** Where a grain is. */
export interface GrainSpot {
  readonly map: GrainMap;
  readonly page: MarkPage;
  /** Counted from the first grain of the page. */
  readonly at: number;
}

/** Which batch is replayed, and whether the basin's counters lack it. */
export interface ReplayOf {
  readonly batch: number;
  readonly counted: boolean;
}

/** A mark page that a settle has to write. */
export interface DirtyPage {
  readonly stratum: { readonly basin: number; markWritten(page: MarkPage): void };
  readonly map: GrainMap;
  readonly page: MarkPage;
}
