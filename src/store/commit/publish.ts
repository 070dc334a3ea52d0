/**
 * Publishes a batch whose record is durable, or undoes a batch that failed.
 *
 * Invariants:
 * - The batch is durable before publishing begins. In a pause some of its values may be readable
 *   before others, but their ids are not known to any caller yet.
 * - Batch number, embedded header, checkpoint, log and statistics change in one go, at the end.
 * - Freed grains can be reserved only from here on: the sync that covers their release is complete.
 *   The watches of a freed value learn of it before.
 * - The cache returns a freed value only after a check of its marks.
 */

import { pageBytes } from '../../format/layout.ts';
import type { GrainRun } from '../../format/log-record.ts';
import { assert, present } from '../../util/assert.ts';
import { pause, type Steps, stepsPerPause } from '../file/effects.ts';
import { type RecordTarget, recordBytes } from '../log/commit-log.ts';
import { replaceMap } from '../moves/map-moves.ts';
import type { StoreCore } from '../state/core.ts';
import { statisticsOf } from '../state/statistics.ts';
import type { StoreStatistics } from '../state/store-statistics.ts';
import type { StoreWatch } from '../watch/store-watch.ts';
import { type BatchPlan, carriedBytesOf } from './commit-plan.ts';

const none: GrainRun[] = [];

/**
 * Publishes with pauses, in which sessions may push and withdraw and values may be read. Then it
 * reports the batch to those who watch. If the batch cannot be applied in memory, this poisons the
 * store, and the next open replays the record.
 *
 * Requires: no batch is planned in its pauses.
 * Throws: `VARVE_POISONED`.
 */
export function* publishBatch(
  core: StoreCore,
  watch: StoreWatch,
  plan: BatchPlan,
  target: RecordTarget,
): Steps<void> {
  const { checkpoint } = core.published;
  try {
    yield* applyBatch(core, plan, target);
  } catch (error) {
    core.statisticsBefore = undefined;
    throw core.poison(error);
  }
  if (watch.isWatched) yield* watch.published(plan, checkpoint);
}

function* applyBatch(core: StoreCore, plan: BatchPlan, target: RecordTarget): Steps<void> {
  const { atlas, log } = core;
  if (plan.entries >= stepsPerPause) core.statisticsBefore = statisticsBefore(core);
  for (const { basin } of plan.added.basins) basin.becomeDurable();
  for (const stratum of plan.added.strata) stratum.becomeDurable();
  for (const { map } of plan.added.maps) map.becomeDurable();
  let archived = none;
  let logBytes = 0;
  let entries = 0;
  for (const work of plan.works) {
    for (const value of work.operations) {
      if (++entries % stepsPerPause === 0) yield pause;
      atlas.basinOf(value.home).touched();
      value.home.publish(value.operation, value);
      core.followers.changed(value.operation, value);
      if (plan.carries && value.operation === 'allocate') {
        // Reads find the bytes in memory until a settle writes them to their grains.
        const offset = value.home.offsetOf(value.index);
        core.values.carry(plan.after.currentBatch, offset, carriedBytesOf(value));
      }
      if (value.operation !== 'archive') continue;
      if (archived === none) archived = [];
      archived.push(value);
    }
    const freed = plan.freed.get(work);
    if (freed === undefined) continue;
    logBytes += freed.logBytes;
    for (const run of freed.values) {
      if (++entries % stepsPerPause === 0) yield pause;
      core.watches.freed(run);
      const stratum = present(
        atlas.stratum(run.basin, run.stratum),
        'the stratum of a freed value',
      );
      core.values.freed(stratum.offsetOf(run.index));
      const vacated = stratum.publish('free', run);
      if (vacated !== undefined) atlas.vacated.set(vacated, stratum);
      atlas.basinOf(stratum).touched();
    }
  }
  for (const { stratum, map } of plan.dropped) {
    assert(map.takenGrains === 0, 'a retired map stays empty');
    atlas.dropMap(stratum, map.firstIndex);
    atlas.basinOf(stratum).touched();
  }
  for (const move of plan.moves) {
    replaceMap(core, move.stratum, move.map, move.parts);
    move.loan.own();
    // A read that takes several turns may find other bytes at the old place.
    const { basin, number } = move.stratum;
    const { firstIndex: index, grains } = move.map;
    core.watches.moved({ basin, stratum: number, index }, grains);
  }
  log.accept(target, plan.after.currentBatch, plan.entries, archived.length);
  log.passed(plan.after.checkpoint, logBytes);
  core.archives.add(plan.after.currentBatch, { values: archived, logBytes: recordBytes(target) });
  core.archives.forgetUpTo(plan.after.checkpoint);
  core.publish(plan.after);
  core.counters.commits += 1;
  core.statisticsBefore = undefined;
}

/** The batch is durable: if the file's length cannot be read, its pages in use stand for it. */
function statisticsBefore(core: StoreCore): StoreStatistics {
  try {
    return statisticsOf(core);
  } catch {
    return statisticsOf(core, core.space.endPage * pageBytes);
  }
}

/** Undoes the plan of a batch that failed. Requires: its record is not in the file. */
export function forgetBatch(core: StoreCore, plan: BatchPlan, target?: RecordTarget): void {
  for (const { stratum, map } of plan.dropped) stratum.restore(map);
  for (const { map } of plan.added.maps) map.setBeingAdded(false);
  const extent = target?.extent;
  if (extent !== undefined) core.space.free(extent.page, extent.pages);
}
