/**
 * The values that lie in thin grain maps: no move makes their maps shorter while their ids stand.
 *
 * Invariant: a map that is named takes no new values until it is opened again
 * (`MapReplacements.openClosed`). So pushing its values again and archiving these ids empties it.
 */

import { type GrainId, joinGrainId } from '../../format/grain-id.ts';
import { markValue } from '../../format/layout.ts';
import { Breather } from '../../util/breather.ts';
import type { Atlas } from '../grains/atlas.ts';
import type { GrainMap } from '../grains/grain-map.ts';
import type { Stratum } from '../grains/stratum.ts';
import { MarkScan } from '../marks/mark-scan.ts';
import type { StoreCore } from '../state/core.ts';

interface ThinMap {
  readonly stratum: Stratum;
  readonly map: GrainMap;
  readonly fill: number;
}

export interface ThinValuesOptions {
  /** From 0 to 1: a map is thin if values take at most this part of it. Default 0.5. */
  fill?: number | undefined;
  /**
   * Closes each map to new values only when it comes to it, not all at the first step. What the
   * caller pushes again meanwhile may then go to maps further on, which are left out if they are no
   * longer thin: the file need not grow. Default false.
   */
  gradual?: boolean | undefined;
}

/** The maps of which at most `fill` (0 to 1) has values, the emptiest first. */
export function thinMaps(atlas: Atlas, fill: number): ThinMap[] {
  const found: ThinMap[] = [];
  for (const stratum of atlas.strata()) {
    const newest = stratum.maps.at(-1);
    for (const map of stratum.maps) {
      const own = fillOf(map);
      if (map !== newest && map.durable && own > 0 && own <= fill) {
        found.push({ stratum, map, fill: own });
      }
    }
  }
  return found.sort((one, other) => one.fill - other.fill);
}

function fillOf({ committedGrains, grains }: GrainMap): number {
  return committedGrains / grains;
}

/**
 * Ids of live values that are not archived, in the maps that are thin at the first step. Those that
 * are archived meanwhile may be left out; those that become durable meanwhile may be among them.
 * Throws `VARVE_CORRUPT`, `VARVE_IO`, `VARVE_CLOSED`.
 */
export async function* thinValues(
  core: StoreCore,
  fill: number,
  gradual: boolean,
): AsyncGenerator<GrainId, void, undefined> {
  const maps = thinMaps(core.atlas, fill);
  if (!gradual) for (const { stratum, map } of maps) stratum.moves.closeToValues(map);
  const breather = new Breather();
  for (const { stratum, map } of maps) {
    if (gradual) {
      if (fillOf(map) > fill) continue;
      stratum.moves.closeToValues(map);
    }
    const { basin, number } = stratum;
    for (const { firstIndex, marks, grains } of stratum.pagesOf(map)) {
      const ids: GrainId[] = [];
      const scan = new MarkScan(marks, grains);
      while (scan.next()) {
        if (scan.mark === markValue) ids.push(joinGrainId(basin, number, firstIndex + scan.at));
      }
      for (const id of ids) {
        yield id;
        core.checkOpen();
      }
      if (breather.due) await breather.turn();
    }
  }
}
