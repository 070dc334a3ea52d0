/**
 * Publishing: makes a batch whose record is durable the present, and undoes one that failed.
 *
 * Invariant: the batch is durable when publishing begins, so what it pauses in may show some of its
 * values before the others: nobody has been told their ids. What says that the batch is there (its
 * number, the embedded header, the checkpoint, the log, the statistics) changes in one go, at the
 * end. Freed grains are given out only from here on, since the sync that covers their release is
 * complete. A freed value is not read from the cache without a look at its marks any more.
 */

import type { GrainRun } from '../../format/log-record.ts';
import { pause, type Steps, stepsPerPause } from '../file/effects.ts';
import type { Stratum } from '../grains/stratum.ts';
import { type RecordTarget, recordBytes } from '../log/commit-log.ts';
import type { StoreCore } from '../state/core.ts';
import { statisticsOf } from '../state/statistics.ts';
import type { BatchPlan } from './commit-plan.ts';

/** Pauses meanwhile: sessions may push and give up, values may be read; no batch may be planned. */
export function* publishBatch(core: StoreCore, plan: BatchPlan, target: RecordTarget): Steps<void> {
  const { atlas, log, published } = core;
  if (plan.entries >= stepsPerPause) core.statisticsMeanwhile = statisticsOf(core);
  for (const { basin } of plan.added.basins) basin.durable = true;
  for (const stratum of plan.added.strata) stratum.durable = true;
  for (const { map } of plan.added.maps) {
    map.durable = true;
    map.beingAdded = false;
  }
  const touched = new Set<Stratum>();
  const archived: GrainRun[] = [];
  let logBytes = 0;
  let entries = 0;
  for (const work of plan.works) {
    for (const value of work.operations) {
      if (++entries % stepsPerPause === 0) yield pause;
      touched.add(value.home);
      if (value.operation === 'allocate') value.home.commitValue(value);
      else {
        value.home.archiveValue(value);
        archived.push(value);
      }
    }
    const freed = plan.freed.get(work);
    if (freed === undefined) continue;
    logBytes += freed.logBytes;
    for (const run of freed.values) {
      if (++entries % stepsPerPause === 0) yield pause;
      core.freeings += 1;
      const stratum = atlas.stratum(run.basin, run.stratum);
      if (stratum === undefined) continue;
      const offset = stratum.offsetOf(run.index);
      core.values.cache.uncheck(offset);
      core.values.trust(offset);
      const vacated = stratum.freeValue(run);
      if (vacated !== undefined) atlas.vacated.set(vacated, stratum);
      touched.add(stratum);
    }
  }
  for (const { stratum, map } of plan.dropped) {
    atlas.dropMap(stratum, map.firstIndex);
    touched.add(stratum);
  }
  for (const stratum of touched) {
    const basin = atlas.basins[stratum.basin];
    if (basin !== undefined) basin.dirty = true;
  }
  log.retainedBytes -= logBytes;
  log.accept(target, plan.after.currentBatch, plan.entries, archived.length);
  log.passed(plan.after.checkpoint);
  core.archives.add(plan.after.currentBatch, { values: archived, logBytes: recordBytes(target) });
  core.archives.forgetUpTo(plan.after.checkpoint);
  Object.assign(published, plan.after);
  core.counters.commits += 1;
  core.counters.sessionsCommitted += plan.works.length;
  core.statisticsMeanwhile = undefined;
}

/** The batch did not come to be; nothing of its record is on the disk. */
export function forgetBatch(core: StoreCore, plan: BatchPlan, target?: RecordTarget): void {
  for (const { stratum, map } of plan.dropped) stratum.restore(map);
  for (const { map } of plan.added.maps) map.beingAdded = false;
  const extent = target?.extent;
  if (extent !== undefined) core.space.free(extent.page, extent.pages);
}
