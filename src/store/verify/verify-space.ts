/**
 * Verifies the file's space: no page belongs to two structures, none is both free and in use, and
 * together they are the whole file.
 *
 * It reads nothing from the file: it compares the structures in memory with the free space.
 */

import { pageBytes } from '../../format/layout.ts';
import type { StoreCore } from '../state/core.ts';
import { usedExtents } from '../state/extents.ts';
import type { Report } from './finding.ts';

export function* verifySpace(core: StoreCore, report: Report): Generator<void> {
  const owned = usedExtents(core.headers.content.settled.root, core.atlas, core.log);
  const used = [...owned, ...core.lent.extents].map((extent) => ({ ...extent, free: false }));
  const free = [...core.space.stretches()].map((extent) => ({ ...extent, free: true }));
  const all = [...used, ...free].sort((one, other) => one.page - other.page);
  // Taken in one turn: a session that pushes later may make the space longer.
  const { endPage } = core.space;
  const atRest = isAtRest(core);
  yield;
  let end = 0;
  for (const extent of all) {
    const offset = extent.page * pageBytes;
    if (extent.page < end) {
      report(extent.free ? 'a page in use is free' : 'two structures share a page', offset);
    } else if (extent.page > end && atRest) {
      report(`${extent.page - end} pages are neither free nor in use`, end * pageBytes);
    }
    end = Math.max(end, extent.page + extent.pages);
  }
  if (atRest && end !== endPage) {
    report(`space ends at page ${endPage}, its last extent at page ${end}`);
  }
}

/**
 * True if nothing is being written and no space is taken without an owner. After a failed sync, for
 * example, the batch keeps the space that it had taken.
 */
export function isAtRest(core: StoreCore): boolean {
  return !core.committing && !core.poisoned && core.housekeeping.atRest;
}
