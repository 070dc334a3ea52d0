/**
 * Decides which grain maps a batch gives back, and when a settle begins with it. It writes nothing.
 *
 * Invariants:
 * - Maps are retired all or none: if the marks of one cannot be read, the others are restored. A
 *   retired map is given back by the batch in flight, or was made for one value.
 * - A map that was empty before a pause may hold reserved grains after it: then it stays in use.
 */

import type { StoreCore } from '../state/core.ts';
import type { DroppedMap } from './commit-plan.ts';

/**
 * On a full disk, space is given back at once from this number of pages on, or this share of the
 * file.
 */
const reclaimedPagesMin = 16;
const reclaimedShare = 64;
/** Maps that one batch gives back at most, to keep its record short. */
const mapsGivenBackMax = 400;

export class GivenBackMaps {
  readonly #core: StoreCore;
  /** The last batch gave maps back, and the due settle has not begun yet. */
  #gaveBack = false;

  constructor(core: StoreCore) {
    this.#core = core;
  }

  /**
   * Begins a settle if one is due, and returns the maps that this batch gives back: always the maps
   * made for one value, and other empty maps just before a settle.
   *
   * They go one batch before the settle, since their pages are free only after a settle that begins
   * later. This happens once per settle: if each batch emptied a map, the settle would never begin.
   * Throws `VARVE_IO`.
   */
  beginSettle(): readonly DroppedMap[] {
    const { atlas, housekeeping, space } = this.#core;
    const due = housekeeping.settleDue;
    const vacated = [...atlas.vacated].map(([map, stratum]) => ({ stratum, map }));
    // On a full disk each batch gives empty maps back, and a settle follows at once.
    if (space.tight && !due) return [...vacated, ...this.retire([...this.#spare()])];
    if (!due) return vacated;
    const dropped = [...vacated, ...retireAll(this.#gaveBack ? [] : this.#spare())];
    this.#gaveBack = !this.#gaveBack && dropped.length > 0;
    if (!this.#gaveBack) housekeeping.beginSettle();
    return dropped;
  }

  *#spare(): Generator<DroppedMap> {
    for (const stratum of this.#core.atlas.strata()) {
      for (const map of stratum.emptyMaps()) yield { stratum, map };
    }
  }

  /**
   * On a full disk: the empty maps, if giving back these maps and the log before the checkpoint is
   * worth a batch; otherwise undefined. `refused`: a value or record has just found no room.
   */
  worthReclaiming(refused: boolean): readonly DroppedMap[] | undefined {
    const { atlas, log, space, published } = this.#core;
    const empty = atlas.emptyMaps();
    let pages = atlas.leavingPages + log.pagesUpTo(published.checkpoint);
    for (const { map } of empty) for (const extent of map.extents) pages += extent.pages;
    const least = Math.max(reclaimedPagesMin, space.endPage / reclaimedShare);
    return pages < (refused ? 1 : least) ? undefined : empty;
  }

  /**
   * Retires the maps of `empty` that are still empty, up to the most for one batch. Throws
   * `VARVE_IO`.
   */
  retire(empty: readonly DroppedMap[]): readonly DroppedMap[] {
    return retireAll(empty.slice(0, mapsGivenBackMax));
  }

  /**
   * A batch that gave maps back outside of `beginSettle` is durable: the next settle may drop
   * others.
   */
  becameDurable(): void {
    this.#gaveBack = false;
  }
}

/**
 * Retires the maps that are empty, so that nothing is reserved in them. If one fails, restores all.
 */
function retireAll(maps: Iterable<DroppedMap>): DroppedMap[] {
  const retired: DroppedMap[] = [];
  try {
    for (const { stratum, map } of maps) {
      if (map.vacated || stratum.retire(map)) retired.push({ stratum, map });
    }
  } catch (error) {
    for (const { stratum, map } of retired) stratum.restore(map);
    throw error;
  }
  return retired;
}
