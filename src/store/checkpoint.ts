/**
 * What a checkpoint frees: the values archived by the batches that it passes, read back from the
 * commit log, and the log itself up to there.
 *
 * Invariant: a value is freed by exactly one checkpoint, the first to reach the batch that
 * archived it. Decides only; the batch that carries it makes it so.
 */

import type { GrainRun } from '../format/log-record.ts';
import { recordBytes } from './commit-log.ts';
import type { Freed } from './commit-plan.ts';
import type { StoreCore } from './core.ts';
import { LogReader } from './log-reader.ts';

/** What is freed by moving the checkpoint on. Throws `VARVE_CORRUPT`, `VARVE_IO`. */
export function freedBetween(core: StoreCore, checkpoint: number, target: number): Freed {
  const reader = new LogReader(core.reader, core.log);
  const values: GrainRun[] = [];
  let logBytes = 0;
  for (let batch = checkpoint + 1; batch <= target; batch++) {
    const { record, found } = reader.read(batch);
    logBytes += recordBytes(found.head);
    for (const operation of record.operations) {
      if (operation.operation !== 'archive') continue;
      // Its marks are read now: when the batch is published, nothing may fail any more.
      core.atlas.stratum(operation.basin, operation.stratum)?.find(operation.index);
      values.push(operation);
    }
  }
  return { values, logBytes };
}
