/**
 * Whether a session can be committed, as things are when its batch is planned.
 *
 * Invariant: a session that is refused here has changed nothing, and the others of its batch go on.
 * The embedded header names a value that is there when the batch is published. Decides only.
 */

import { VarveError } from '../../errors.ts';
import { joinGrainId } from '../../format/grain-id.ts';
import type { StoreCore } from '../state/core.ts';
import type { Freed } from '../state/recent-archives.ts';
import type { SessionWork } from './session-work.ts';

/** How far the session moves the checkpoint. Throws where it cannot be committed. */
export function checkWork(core: StoreCore, work: SessionWork): number {
  if (work.writeError !== undefined) throw work.writeError;
  const root = work.embeddedHeader;
  if (typeof root === 'bigint' && work.own(root) === undefined && !core.place(root)) {
    throw rootIsGone(core);
  }
  return work.checkpointTo === undefined ? 0 : core.guards.limit(work.checkpointTo);
}

/** Throws where the session's embedded header is freed by it or by one before it. */
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
  const message = 'the value that was to be the embedded header is gone';
  return new VarveError('VARVE_NOT_FOUND', message, { path });
}
