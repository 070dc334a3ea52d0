/**
 * Which grain maps a batch gives back, and when a settle begins with it.
 *
 * Invariant: maps are retired all or none: where one of them cannot be read, those before it are in
 * use again, so a map that is retired is one that the batch under way gives back, or that a value
 * had to itself. A map that was empty before others had a turn may hold reserved grains after it:
 * it is left in use. It writes nothing.
 */

import type { StoreCore } from '../state/core.ts';
import type { DroppedMap } from './commit-plan.ts';

/** On a full disk so many pages, or this share of the file, are given back as soon as may be. */
const reclaimedPagesLeast = 16;
const reclaimedShare = 64;
/** Maps given back by one batch: its record is to be short. */
const mapsGivenBackMost = 400;

export class GivenBackMaps {
  readonly #core: StoreCore;
  /** The last batch gave maps back, and the settle that was due has not begun. */
  #gaveBack = false;

  constructor(core: StoreCore) {
    this.#core = core;
  }

  /**
   * Begins a settle when one is due, and says which maps this batch gives back: at once those that
   * a value had to itself, with a settle the others that hold nothing. They are given back before
   * the settle, since only the next would free the places of those given back meanwhile; but once
   * for each settle, or batches that empty a map each would put it off for ever. Throws `VARVE_IO`.
   */
  beginSettle(): readonly DroppedMap[] {
    const { atlas, housekeeping, space } = this.#core;
    const due = housekeeping.settleDue;
    const vacated = [...atlas.vacated].map(([map, stratum]) => ({ stratum, map }));
    // On a full disk each batch gives back what is empty, and a settle follows it at once.
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
   * The maps that hold nothing, where giving them and the log before the checkpoint back is worth a
   * batch on a full disk; undefined where it is not. `refused`: a value has just found no room.
   */
  worthReclaiming(refused: boolean): readonly DroppedMap[] | undefined {
    const { atlas, log, space, published } = this.#core;
    const empty = atlas.emptyMaps();
    let pages = atlas.leavingPages + log.pagesUpTo(published.checkpoint);
    for (const { map } of empty) for (const extent of map.extents) pages += extent.pages;
    const least = Math.max(reclaimedPagesLeast, space.endPage / reclaimedShare);
    return pages < (refused ? 1 : least) ? undefined : empty;
  }

  /** As many of these, if they are empty still, as one batch gives back. Throws `VARVE_IO`. */
  retire(empty: readonly DroppedMap[]): readonly DroppedMap[] {
    return retireAll(empty.slice(0, mapsGivenBackMost));
  }

  /** A batch that gave maps back at once is durable: with the next settle others may be. */
  haveGone(): void {
    this.#gaveBack = false;
  }
}

/** Those of the maps that can be given back, in which nothing is reserved from now on; or none. */
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
