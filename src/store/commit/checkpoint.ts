/**
 * What a checkpoint frees: the values archived by the batches that it passes, remembered or read
 * back from the commit log, and the log itself up to there.
 *
 * Invariant: a value is freed by exactly one checkpoint, the first to reach the batch that
 * archived it. Decides only; the batch that carries it makes it so.
 */

import type { GrainRun } from '../../format/log-record.ts';
import { pause, type Steps, stepsPerPause } from '../file/effects.ts';
import { recordBytes } from '../log/commit-log.ts';
import { LogReader } from '../log/log-reader.ts';
import type { StoreCore } from '../state/core.ts';
import type { Freed } from '../state/recent-archives.ts';

/**
 * What is freed by moving the checkpoint on: to `target`, or, if that would be more than `most`
 * values, as far as whole batches go, one at least. Pauses meanwhile: no other batch may be
 * published. Throws `VARVE_CORRUPT`, `VARVE_IO`.
 */
export function* freedBetween(
  core: StoreCore,
  checkpoint: number,
  target: number,
  most = Number.POSITIVE_INFINITY,
): Steps<Freed & { readonly reached: number }> {
  const reader = new LogReader(core.reader, core.log);
  const values: GrainRun[] = [];
  let logBytes = 0;
  let reached = checkpoint;
  for (let batch = checkpoint + 1; batch <= target; batch++) {
    const archived = core.archives.get(batch) ?? (yield* archivedBy(reader, batch));
    if (values.length > 0 && values.length + archived.values.length > most) break;
    reached = batch;
    logBytes += archived.logBytes;
    yield pause;
    for (const run of archived.values) {
      // Its marks are read now: when the batch is published, nothing may fail any more.
      core.atlas.stratum(run.basin, run.stratum)?.find(run.index);
      if (values.push(run) % stepsPerPause === 0) yield pause;
    }
  }
  return { values, logBytes, reached };
}

/** What a batch archived, as its record says. */
function* archivedBy(reader: LogReader, batch: number): Steps<Freed> {
  const { record, found } = yield* reader.readInSteps(batch);
  const values: GrainRun[] = [];
  for (const operation of record.operations) {
    if (operation.operation === 'archive') values.push(operation);
  }
  return { values, logBytes: recordBytes(found.head) };
}
