/**
 * Finds what a checkpoint frees: the values that the batches up to it archived, and the commit log
 * of these batches. The archives of recent batches are in memory; older ones are read from the log.
 *
 * Invariant: exactly one checkpoint frees a value: the first to reach the batch that archived it.
 * This file only decides: nothing is free before the batch with the checkpoint is published.
 */

import { corrupt } from '../../errors.ts';
import { joinGrainId } from '../../format/grain-id.ts';
import type { GrainRun } from '../../format/log-record.ts';
import { assert } from '../../util/assert.ts';
import { pause, type Steps, stepsPerPause } from '../file/effects.ts';
import { recordBytes } from '../log/commit-log.ts';
import { LogReader } from '../log/log-reader.ts';
import type { StoreCore } from '../state/core.ts';
import type { Freed } from '../state/recent-archives.ts';
import type { SessionWork } from './session-work.ts';

/** The checkpoint that the session asks for, up to the oldest guard; 0 if it asks for none. */
export function checkpointOf({ guards }: StoreCore, { checkpointTo }: SessionWork): number {
  return checkpointTo === undefined ? 0 : guards.limit(checkpointTo);
}

export interface FreedUpTo extends Freed {
  /** The batch that the checkpoint gets to. */
  readonly reached: number;
}

/**
 * The values and log that a checkpoint to `target` frees. Beyond `most` values it stops at an
 * earlier batch, `reached`, but passes at least one.
 *
 * Requires: no other batch is published in its pauses.
 * Throws: `VARVE_CORRUPT`, `VARVE_IO`.
 */
export function* freedBetween(
  core: StoreCore,
  checkpoint: number,
  target: number,
  most = Number.POSITIVE_INFINITY,
): Steps<FreedUpTo> {
  assert(target <= core.published.currentBatch, 'a checkpoint is to a batch that is durable');
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
      checkArchived(core, run, batch);
      if (values.push(run) % stepsPerPause === 0) yield pause;
    }
  }
  return { values, logBytes, reached };
}

/**
 * As `freedBetween`, at once; undefined if the log must be read, or if it is more than `most`
 * batches or values. Throws as `freedBetween`.
 */
export function freedFromMemory(
  core: StoreCore,
  checkpoint: number,
  target: number,
  most: number,
): Freed | undefined {
  if (target - checkpoint > most) return undefined;
  const values: GrainRun[] = [];
  let logBytes = 0;
  for (let batch = checkpoint + 1; batch <= target; batch++) {
    const archived = core.archives.get(batch);
    if (archived === undefined || values.length + archived.values.length > most) return undefined;
    logBytes += archived.logBytes;
    for (const run of archived.values) {
      checkArchived(core, run, batch);
      values.push(run);
    }
  }
  return { values, logBytes };
}

/**
 * Loads the value's marks now, to stay until the batch is over: after the batch with the checkpoint
 * is durable, no read may fail. Throws `VARVE_CORRUPT` if they contradict the record that archived
 * the value.
 */
function checkArchived({ atlas }: StoreCore, run: GrainRun, batch: number): void {
  const spot = atlas.stratum(run.basin, run.stratum)?.find(run.index);
  if (spot !== undefined) atlas.loadedPages.pin(spot.page);
  const isWithin = spot !== undefined && run.count > 0 && spot.at + run.count <= spot.page.grains;
  if (isWithin && spot.page.allows('free', spot.at, run.count)) return;
  const grainId = joinGrainId(run.basin, run.stratum, run.index);
  throw corrupt('the commit log archived a value that is not archived', { batch, grainId });
}

/** The archives of a batch, from its record. */
function* archivedBy(reader: LogReader, batch: number): Steps<Freed> {
  const { record, found } = yield* reader.readInSteps(batch);
  const values: GrainRun[] = [];
  for (const operation of record.operations) {
    if (operation.operation === 'archive') values.push(operation);
  }
  return { values, logBytes: recordBytes(found.head) };
}
