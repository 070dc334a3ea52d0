/**
 * Counts the marks of a stratum again and compares its counters with them: in strict mode, and of
 * healed maps.
 *
 * Invariant: after each published change, and when the basin is written, the counters of the
 * stratum and of its maps are those of the marks. A page that was never loaded counts as its map's
 * head says, an evicted one as it did then. It changes nothing.
 */

import { corrupt, isVarveError } from '../../errors.ts';
import { pageBytes } from '../../format/layout.ts';
import { assert, assertCount } from '../../util/assert.ts';
import type { MarkCounts, MarkPage } from '../marks/mark-page.ts';
import type { GrainMap } from './grain-map.ts';
import type { SetAside } from './set-aside.ts';

/** The counters of a stratum that the marks give too. */
export interface CountedStratum {
  readonly maps: readonly GrainMap[];
  readonly values: number;
  readonly archivedValues: number;
  readonly allocatedGrains: number;
  readonly totalGrains: number;
  readonly freeGrains: number;
  readonly setAside: SetAside;
}

/**
 * The first changes of a stratum are counted one by one, later ones in groups: of n changes about
 * 64 + 64 ln(n / 64) are followed by a count. 100,000: some 530.
 */
const groupShare = 64;
/** Mark pages counted for each change: in a larger stratum changes are grouped too. */
const pagesPerChange = 4;

/**
 * The heads or the basin of these maps were healed: throws `VARVE_CORRUPT` if the marks are not
 * those that the counters count. Then a page that only the damaged structure named is damaged too,
 * and an older one was taken for it. Requires: the log has been replayed; `load` loads a page again
 * that was evicted since.
 */
export function checkHealed(
  stratum: CountedStratum,
  healed: ReadonlySet<GrainMap>,
  load: (page: MarkPage) => void,
): void {
  let { values, archivedValues } = stratum;
  let isWhole = true;
  for (const map of stratum.maps) {
    const found = healed.has(map) ? countHealed(map, load) : countLoaded(map);
    if (found === undefined) {
      isWhole = false;
      continue;
    }
    values -= found.values;
    archivedValues -= found.archived;
    if (found.committed !== map.committedGrains && healed.has(map)) throw lacking(map);
  }
  if (isWhole && (values !== 0 || archivedValues !== 0)) throw lacking(stratum.maps[0]);
}

/** Counts a healed map; undefined if one of its pages is damaged: reading its values reports it. */
function countHealed(map: GrainMap, load: (page: MarkPage) => void): Sum | undefined {
  if (!map.opened) return undefined;
  const sum = emptySum();
  for (const page of map.pages) {
    try {
      load(page);
    } catch (error) {
      if (!isVarveError(error, 'VARVE_CORRUPT')) throw error;
    }
    if (!page.loaded) return undefined;
    addTo(sum, page.recount());
  }
  return sum;
}

/** Counts a map if all of its pages are loaded. */
function countLoaded(map: GrainMap): Sum | undefined {
  if (!map.opened || !map.pages.every((page) => page.loaded)) return undefined;
  const sum = emptySum();
  for (const page of map.pages) addTo(sum, page.recount());
  return sum;
}

interface Sum {
  values: number;
  archived: number;
  committed: number;
  taken: number;
}

function emptySum(): Sum {
  return { values: 0, archived: 0, committed: 0, taken: 0 };
}

function addTo(sum: Sum, found: MarkCounts): void {
  sum.values += found.values;
  sum.archived += found.archived;
  sum.committed += found.committed;
  sum.taken += found.taken;
}

function lacking(map: GrainMap | undefined): Error {
  const message = 'the marks of a healed grain map lack changes: one of its pages is damaged too';
  return corrupt(message, { offset: (map?.page ?? 0) * pageBytes });
}

export class Recount {
  readonly #stratum: CountedStratum;
  #changes = 0;
  /** `#changes` when the next count is due. */
  #dueAt = 0;

  constructor(stratum: CountedStratum) {
    this.#stratum = stratum;
  }

  /** A change is published. */
  changed(): void {
    this.#changes += 1;
    if (this.#changes < this.#dueAt) return;
    this.now();
    let pages = 0;
    for (const map of this.#stratum.maps) pages += map.opened ? map.pages.length : 0;
    const group = Math.max(1, Math.ceil(pages / pagesPerChange), this.#changes / groupShare);
    this.#dueAt = this.#changes + group;
  }

  /** Throws `VARVE_INTERNAL` if a counter is wrong. */
  now(): void {
    const stratum = this.#stratum;
    const { archivedValues, values, allocatedGrains } = stratum;
    assert(archivedValues <= values && values <= allocatedGrains, 'each value has a grain');
    const sum = { values: 0, archived: 0, committed: 0, taken: 0, grains: 0 };
    let isWhole = true;
    for (const map of stratum.maps) {
      sum.grains += map.grains;
      sum.committed += map.committedGrains;
      sum.taken += map.takenGrains;
      if (map.opened) {
        const found = this.#countMap(map);
        sum.values += found.values;
        sum.archived += found.archived;
      }
      isWhole &&= isCounted(map);
    }
    assertCount('grains of a stratum', stratum.totalGrains, sum.grains);
    assertCount('committed grains of a stratum', stratum.allocatedGrains, sum.committed);
    assertCount('free grains of a stratum', stratum.freeGrains, sum.grains - sum.taken);
    if (!isWhole) return;
    assertCount('values of a stratum', stratum.values, sum.values);
    assertCount('archived values of a stratum', stratum.archivedValues, sum.archived);
  }

  #countMap(map: GrainMap): { values: number; archived: number } {
    const sum = emptySum();
    for (const page of map.pages) {
      addTo(sum, page.loaded ? page.recount() : (page.evictedCounts ?? named(page)));
    }
    sum.taken -= this.#stratum.setAside.grainsWithin(map.firstIndex, map.grains);
    assertCount('committed grains of a map', map.committedGrains, sum.committed);
    assertCount('taken grains of a map', map.takenGrains, sum.taken);
    return sum;
  }
}

/** True if all values of the map are known, if only from before a page was evicted. */
function isCounted(map: GrainMap): boolean {
  return map.opened && map.pages.every((page) => page.loaded || page.evictedCounts !== undefined);
}

/** A page that was never loaded, as its map names it. */
function named({ grains, name }: MarkPage): MarkCounts {
  const committed = grains - Math.min(grains, name.free);
  return { values: 0, archived: 0, committed, taken: committed };
}
