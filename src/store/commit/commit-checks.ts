/**
 * Checks whether a session can be committed, when its batch is planned.
 *
 * Invariants:
 * - A session that is refused here has changed nothing, and the rest of its batch is committed.
 * - A value that becomes the embedded header exists when its session's part of the batch begins.
 */

import { VarveError } from '../../errors.ts';
import { joinGrainId } from '../../format/grain-id.ts';
import type { StoreCore } from '../state/core.ts';
import type { Freed } from '../state/recent-archives.ts';
import type { SessionWork } from './session-work.ts';

/**
 * Returns the session's checkpoint, 0 if it has none. Throws if the session cannot be committed.
 */
export function checkWork(core: StoreCore, work: SessionWork): number {
  if (work.writeError !== undefined) throw work.writeError;
  const root = work.embeddedHeader;
  if (typeof root === 'bigint' && work.own(root) === undefined && !core.place(root)) {
    throw rootIsGone(core);
  }
  return work.checkpointTo === undefined ? 0 : core.guards.limit(work.checkpointTo);
}

/** Throws if a checkpoint in `freed` frees the value that the session makes the embedded header. */
export function checkRoot(core: StoreCore, work: SessionWork, freed: readonly Freed[]): void {
  const root = work.embeddedHeader;
  if (typeof root !== 'bigint') return;
  for (const { values } of freed) {
    for (const { basin, stratum, index } of values) {
      if (joinGrainId(basin, stratum, index) === root) throw rootIsGone(core);
    }
  }
}

function rootIsGone({ path }: StoreCore): VarveError {
  const message = 'the value that was to become the embedded header has been freed';
  return new VarveError('VARVE_NOT_FOUND', message, { path });
}
