/**
 * Maps that a writer moves are followed by the state of a reader.
 *
 * Invariant: a value is read where it is now. Its marks are those of the state's batch, or later
 * ones, which count together with the differences since. The writer uses the old place again only
 * after a settle that has written the marks at the new one. So one of the two places has them.
 */

import { isVarveError } from '../../errors.ts';
import type { ReplacedAfter } from '../log/differences.ts';
import { contentOf, grainsOffsetOf, placeParts, replaceMap } from '../moves/map-moves.ts';
import { replacedIn } from '../open/replay.ts';
import type { StoreCore } from '../state/core.ts';

/** Others replace a map of the state. Throws `VARVE_IO`. */
export function followMove(
  { atlas, values }: StoreCore,
  { batch, map: moved }: ReplacedAfter,
): void {
  const found = replacedIn(atlas, moved, batch);
  if (found === undefined) return;
  const { stratum, map } = found;
  const { parts } = moved;
  try {
    // Until the writer's next settle, the marks are where they were.
    stratum.moves.loadAll(map);
    replaceMap({ atlas, values }, stratum, map, parts);
  } catch (error) {
    if (!isVarveError(error, 'VARVE_CORRUPT')) throw error;
    placeParts(values, stratum, map, { parts, batch });
  }
  // Blocks of the new places are of what was there before.
  for (const part of parts) values.forget(grainsOffsetOf(part), contentOf(map, part).bytes);
}
