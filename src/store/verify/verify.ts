/**
 * Verification: checks everything that the store relies on, and reports inconsistencies.
 *
 * It reads the structures on the disk again, from the root that the header names. It compares the
 * state in memory with them, with the log and with itself; with `deep`, also every value with its
 * checksum. Invariant: it changes nothing. A sound store, idle or busy, yields nothing: while a
 * batch is half published, verification waits.
 */

import { isVarveError } from '../../errors.ts';
import { type GrainId, joinGrainId } from '../../format/grain-id.ts';
import { markArchived, markContinues, markFree } from '../../format/layout.ts';
import type { GrainRun, LogRecord } from '../../format/log-record.ts';
import { grainCount } from '../../format/value.ts';
import { Breather } from '../../util/breather.ts';
import { inTurns, pause, type Steps, stepsPerPause } from '../file/effects.ts';
import type { GrainMap } from '../grains/grain-map.ts';
import type { Stratum } from '../grains/stratum.ts';
import { recordBytes } from '../log/commit-log.ts';
import { LogReader } from '../log/log-reader.ts';
import type { MarkPage } from '../marks/mark-page.ts';
import type { StoreCore } from '../state/core.ts';
import { valuePlace } from '../values/value-place.ts';
import { collector, type Finding, guarded, type Report } from './finding.ts';
import { verifyDisk, verifyLoaded } from './verify-disk.ts';
import { verifySpace } from './verify-space.ts';

export interface VerifyRequest {
  readonly deep: boolean;
  readonly signal: AbortSignal | undefined;
  /** True if no session has grains reserved. */
  quiet(): boolean;
  /** Decides when the event loop gets a turn; tests pass their own. */
  readonly breather?: Breather;
}

export async function* verifyStore(
  core: StoreCore,
  request: VerifyRequest,
): AsyncGenerator<Finding, void, undefined> {
  request.signal?.throwIfAborted();
  core.checkOpen();
  const breathing = { ...request, breather: request.breather ?? new Breather() };
  yield* await inSteps(core, breathing, (report) => verifyDisk(core, report));
  yield* await inSteps(core, breathing, (report) => verifyLoaded(core, report));
  yield* await inSteps(core, breathing, (report) => verifySpace(core, report));
  const quiet = (): boolean => request.quiet() && !core.committing;
  for (const stratum of [...core.atlas.strata()]) {
    yield* await inSteps(core, breathing, (report) => verifyStratum(stratum, quiet, report));
  }
  yield* await inSteps(core, breathing, (report) => verifyLog(core, report));
  if (!request.deep) return;
  yield* verifyLogged(core, breathing);
  yield* verifyValues(core, breathing);
}

/** Restarts of a check because other code has changed the store in a turn. */
const restartsMax = 8;

/**
 * Findings of a check that compares two parts of the store. It yields at possible turns. If the
 * store changed in a turn, the check starts again, since it would compare two states. After
 * `restartsMax` restarts it runs without turns.
 */
async function inSteps(
  core: StoreCore,
  request: BreathingRequest,
  check: (report: Report) => Iterable<unknown>,
): Promise<Finding[]> {
  for (let restarts = 0; ; restarts++) {
    request.signal?.throwIfAborted();
    // The store may close wherever this function awaits.
    core.checkOpen();
    if (core.publishing) await breathe(core, request);
    const { findings, report } = collector();
    const { commits } = core.counters;
    const { bytesWritten } = core.writer;
    const changed = (): boolean =>
      core.counters.commits !== commits || core.writer.bytesWritten !== bytesWritten;
    const steps = check(report)[Symbol.iterator]();
    let goesOn = true;
    while (goesOn && !changed()) {
      goesOn = false;
      guarded(report, () => {
        goesOn = steps.next().done !== true;
      });
      if (goesOn && restarts < restartsMax && request.breather.due) await breathe(core, request);
    }
    if (!goesOn && !changed()) return findings;
  }
}

type BreathingRequest = VerifyRequest & { readonly breather: Breather };

/**
 * Gives the event loop a turn, and continues when no batch is published in part. Throws if the
 * store was closed meanwhile.
 */
async function breathe(core: StoreCore, { breather, signal }: BreathingRequest): Promise<void> {
  do {
    await breather.turn();
    signal?.throwIfAborted();
    core.checkOpen();
  } while (core.publishing);
}

interface Counted {
  values: number;
  archived: number;
  grains: number;
}

function* verifyStratum(stratum: Stratum, quiet: () => boolean, report: Report): Generator<void> {
  const counted: Counted = { values: 0, archived: 0, grains: 0 };
  // A copy: empty maps come and go with other sessions' pushes.
  const maps = [...stratum.maps];
  const { totalGrains: expectedGrains } = stratum;
  let totalGrains = 0;
  let end = 0;
  for (const map of maps) {
    if (map.firstIndex < end) report('two grain maps of a stratum overlap', undefined);
    end = map.firstIndex + map.grains;
    totalGrains += map.grains;
    const before = counted.grains;
    for (const page of stratum.pagesOf(map)) {
      verifyPage(stratum, page, quiet(), { counted, report });
      yield;
    }
    const what = `grains in use in the map at grain ${map.firstIndex}`;
    compare(report, what, map.committedGrains, counted.grains - before);
  }
  const where = `of stratum ${stratum.basin}-${stratum.number}`;
  compare(report, `grains ${where}`, expectedGrains, totalGrains);
  compare(report, `grains in use ${where}`, stratum.allocatedGrains, counted.grains);
  compare(report, `values ${where}`, stratum.values, counted.values);
  compare(report, `archived values ${where}`, stratum.archivedValues, counted.archived);
}

function compare(report: Report, what: string, expected: number, actual: number): void {
  if (expected !== actual) report(`${what}: ${expected} are counted, ${actual} are there`);
}

function verifyPage(
  stratum: Stratum,
  page: MarkPage,
  quiet: boolean,
  { counted, report }: { counted: Counted; report: Report },
): void {
  const offset = stratum.offsetOf(page.firstIndex);
  guarded(report, () => page.check(offset));
  const isAside = stratum.setAside.within(page.firstIndex, page.grains);
  for (let at = 0; at < page.grains; at++) {
    const mark = page.mark(at);
    const taken = page.isTaken(at);
    const id = (): GrainId => joinGrainId(stratum.basin, stratum.number, page.firstIndex + at);
    if (mark === markFree) {
      if (taken && quiet && !isAside(page.firstIndex + at))
        report('a grain is neither free nor in use', offset, id());
      continue;
    }
    if (!taken) report('a grain in use is not marked as taken', offset, id());
    counted.grains += 1;
    if (mark === markContinues) continue;
    counted.values += 1;
    if (mark === markArchived) counted.archived += 1;
    if (page.countAt(at) > 255) report('a value has more than 255 grains', offset, id());
  }
}

/** Checks that the retained log is readable, and archives exactly the archived values. */
function* verifyLog(core: StoreCore, report: Report): Steps<void> {
  const { checkpoint, currentBatch } = core.published;
  const reader = new LogReader(core.reader, core.log);
  let bytes = 0;
  let archived = 0;
  for (let batch = checkpoint + 1; batch <= currentBatch; batch++) {
    const { record, found } = yield* reader.readInSteps(batch);
    bytes += recordBytes(found.head);
    for (const [at, operation] of record.operations.entries()) {
      if (at % stepsPerPause === 0) yield pause;
      if (operation.operation !== 'archive') continue;
      archived += 1;
      const { basin, stratum, index } = operation;
      if (core.atlas.stratum(basin, stratum)?.isArchived(index) === true) continue;
      const id = joinGrainId(basin, stratum, index);
      report(`batch ${batch} archived a value that is not archived`, undefined, id);
    }
  }
  compare(report, 'bytes of the commit log', core.log.retainedBytes, bytes);
  let marked = 0;
  for (const stratum of core.atlas.strata()) marked += stratum.archivedValues;
  compare(report, 'archived values in the commit log', marked, archived);
}

/**
 * Compares the values that the retained log allocated with their records. If a disk lost a write,
 * the older bytes there may be a valid value of the same id.
 */
async function* verifyLogged(
  core: StoreCore,
  request: BreathingRequest,
): AsyncGenerator<Finding, void, undefined> {
  const reader = new LogReader(core.reader, core.log);
  const last = core.published.currentBatch;
  // Values allocated after the checkpoint cannot have been freed: each must be as it was written.
  for (let batch = core.published.checkpoint + 1; batch <= last; batch++) {
    const { findings, report } = collector();
    core.checkOpen();
    const record = await readableRecord(reader, batch, request);
    core.checkOpen();
    // The damage has been reported already, and may concern any number of batches.
    if (record === undefined) return;
    for (const value of record.operations) {
      if (core.publishing || request.breather.due) await breathe(core, request);
      // A checkpoint has passed the batch meanwhile: its values may have been freed.
      if (batch <= core.published.checkpoint) break;
      if (value.operation !== 'allocate') continue;
      guarded(report, () => verifyWritten(core, value, value.crc, report));
    }
    yield* findings;
    if (core.publishing) await breathe(core, request);
    batch = Math.max(batch, core.published.checkpoint);
  }
}

/** The record of a batch; undefined if it is damaged. */
async function readableRecord(
  reader: LogReader,
  batch: number,
  { breather, signal }: BreathingRequest,
): Promise<LogRecord | undefined> {
  try {
    const { record } = await inTurns(reader.readInSteps(batch), breather);
    signal?.throwIfAborted();
    return record;
  } catch (error) {
    if (isVarveError(error, 'VARVE_CORRUPT')) return undefined;
    throw error;
  }
}

function verifyWritten(core: StoreCore, run: GrainRun, crc: number, report: Report): void {
  const { basin, stratum, index, length } = run;
  const place = core.placeOf(run);
  const id = joinGrainId(basin, stratum, index);
  if (place === undefined) {
    report('a value of the commit log does not exist', undefined, id);
    return;
  }
  const stored = core.values.stored(place);
  if (stored.length === length && stored.crc === crc) return;
  // A value that fails its own checksum is reported with the other values.
  const whole = core.values.measure(place);
  if (whole === undefined || whole.stored !== whole.computed) return;
  report('a value is not the one that was written: that write was lost', place.offset, id);
}

/** Checks the checksum of every value. */
async function* verifyValues(
  core: StoreCore,
  request: BreathingRequest,
): AsyncGenerator<Finding, void, undefined> {
  for (const stratum of core.atlas.strata()) {
    const { currentBatch } = core.published;
    let valueBytes = 0;
    let unread = 0;
    for (const map of [...stratum.maps]) {
      const values = valuesIn(stratum, map);
      for (;;) {
        request.signal?.throwIfAborted();
        core.checkOpen();
        const next = readable(values);
        if (next === undefined) unread += 1;
        if (next === undefined || next.done === true) break;
        const { index, count } = next.value;
        const { length, findings } = verifyValue(core, stratum, index, count);
        for (const finding of findings) {
          yield finding;
          core.checkOpen();
        }
        valueBytes += length;
        if (request.breather.due) await breathe(core, request);
      }
    }
    const unchanged = currentBatch === core.published.currentBatch && !core.publishing;
    if (unread > 0 || !unchanged || valueBytes === stratum.valueBytes) continue;
    const { findings, report } = collector();
    const where = `of stratum ${stratum.basin}-${stratum.number}`;
    compare(report, `bytes ${where}`, stratum.valueBytes, valueBytes);
    yield* findings;
  }
}

interface FoundValue {
  readonly index: number;
  readonly count: number;
}

/**
 * The committed values of a map, each as it is at its turn. Between two of them the store may
 * change: the page may be evicted, and the map dropped.
 */
function* valuesIn(stratum: Stratum, map: GrainMap): Generator<FoundValue, undefined> {
  for (const page of stratum.pagesOf(map)) {
    for (let at = 0; at < page.grains; at++) {
      const index = page.firstIndex + at;
      if (!page.loaded && stratum.mapWith(index) === map) stratum.loadedPage(map, index);
      const count = page.loaded ? page.countAt(at) : 0;
      if (count === 0) continue;
      yield { index, count };
      at += count - 1;
    }
  }
}

/** The next value; undefined if the marks are damaged, which the checks of structures report. */
function readable(values: Iterator<FoundValue, undefined>): IteratorResult<FoundValue> | undefined {
  let next: IteratorResult<FoundValue> | undefined;
  guarded(
    () => undefined,
    () => {
      next = values.next();
    },
  );
  return next;
}

function verifyValue(
  core: StoreCore,
  stratum: Stratum,
  index: number,
  count: number,
): { length: number; findings: readonly Finding[] } {
  const { findings, report } = collector();
  const offset = stratum.offsetOf(index);
  const id = { basin: stratum.basin, stratum: stratum.number, index };
  const grainId = joinGrainId(stratum.basin, stratum.number, index);
  const found = core.values.measure(valuePlace(id, stratum.mapOf(index), count));
  const length = found?.length ?? 0;
  if (found === undefined) report('a value does not fit its grains or the file', offset, grainId);
  else if (found.stored !== found.computed) report('a value fails its checksum', offset, grainId);
  else if (grainCount(length, stratum.grainExp) !== count) {
    report(`a value of ${length} bytes has ${count} grains`, offset, grainId);
  }
  return { length, findings };
}
