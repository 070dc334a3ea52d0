/**
 * Every extent of the file that the structures in memory use.
 *
 * The only list of owners of pages: opening derives the free space from it, and verification
 * compares the free space with it. Add each new kind of structure here first.
 */

import type { DocumentName } from '../../format/document.ts';
import { headerCopies } from '../../format/layout.ts';
import type { Extent } from '../file/space.ts';
import type { Atlas } from '../grains/atlas.ts';
import type { CommitLog } from '../log/commit-log.ts';

export function usedExtents(root: DocumentName, atlas: Atlas, log: CommitLog): Extent[] {
  const used: Extent[] = [{ page: 0, pages: headerCopies }, ...log.extents, ...atlas.leaving];
  for (const { page, capacityPages } of [root, ...atlas.basins.map(({ name }) => name)]) {
    if (capacityPages > 0) used.push({ page, pages: 2 * capacityPages });
  }
  for (const stratum of atlas.strata()) {
    for (const map of stratum.maps) used.push(...map.extents);
  }
  return used;
}
