/**
 * Makes a batch durable: its plan, housekeeping, the record, the sync, and the reaction to a
 * failure of each. The Committer decides what is in a batch, and has its values written before.
 *
 * Invariants:
 * - All syncs of an open store are made here; creation and recovery make their own. A failed sync
 *   poisons the store, and nothing more is written.
 * - A record whose write failed is blanked durably before its batch is rejected. If that fails, the
 *   store is poisoned.
 * - If housekeeping fails twice in a row, the commit that it rode on fails.
 */

import { internal, ioError, isVarveError } from '../../errors.ts';
import { pageBytes, sectorBytes } from '../../format/layout.ts';
import {
  encodeOneSector,
  encodeRecordSectors,
  isBlank,
  oneSectorBodyMax,
} from '../../format/log-sector.ts';
import { assert } from '../../util/assert.ts';
import { pause, type Steps } from '../file/effects.ts';
import type { GrainMap } from '../grains/grain-map.ts';
import type { RecordTarget } from '../log/commit-log.ts';
import type { HousekeepingRound, HousekeepingWish } from '../settle/housekeeping.ts';
import type { StoreCore } from '../state/core.ts';
import type { StoreWatch } from '../watch/store-watch.ts';
import { type BatchPlan, type BatchRequest, nothingAdded, planBatch } from './commit-plan.ts';
import { forgetBatch, publishBatch } from './publish.ts';
import type { SmallRecord } from './small-record.ts';
import { isSmallBatch } from './value-writer.ts';

/** Rounds of housekeeping at most, to make room for one record or to settle. */
const roundsMax = 24;

/** Pages of the reserve kept for records that archive or free some thousand values. */
const bodyPagesKept = 4;

/** The content of a batch. */
export type Batch = Pick<
  BatchRequest,
  'works' | 'freed' | 'checkpoint' | 'dropped' | 'moves' | 'carries'
>;

/** The store has been poisoned: what the batch wrote may be durable, and nothing is taken back. */
export function isPoisoned(error: unknown): boolean {
  return isVarveError(error, 'VARVE_POISONED');
}

export class DurableWriter {
  readonly #core: StoreCore;
  readonly #watch: StoreWatch;
  /** Memory for records of one sector. */
  readonly #sector = new Uint8Array(sectorBytes);
  #recordRefused = false;
  /** The time of the first plan of the batch in flight, milliseconds since the epoch. */
  #plannedAt: number | undefined;

  constructor(core: StoreCore, watch: StoreWatch) {
    this.#core = core;
    this.#watch = watch;
  }

  /** The batch that failed last has found no place for its record, or could not write it. */
  get recordRefused(): boolean {
    return this.#recordRefused;
  }

  /** Batches from now on have a new time. */
  batchBegins(): void {
    this.#plannedAt = undefined;
  }

  /**
   * Plans the batch, makes it durable and publishes it.
   *
   * Requires: its values are written, or its record carries them.
   * Throws: `VARVE_IO`, with nothing published, or `VARVE_POISONED`.
   */
  *commit(batch: Batch): Steps<void> {
    const plan = yield* this.#plan(batch);
    const small = this.#smallRecordOf(plan);
    if (small !== undefined) return yield* this.commitSmall(small);
    const target = yield* this.#log(plan);
    yield* this.sync();
    yield* this.#publish(plan, target);
  }

  /**
   * The record of the plan, if `commitSmall` can write it: the general way takes longer.
   */
  #smallRecordOf(plan: BatchPlan): SmallRecord | undefined {
    const { headers, log, reader, space } = this.#core;
    const { added, after, body } = plan;
    if (space.tight || added !== nothingAdded || plan.dropped.length > 0) return undefined;
    if (body.length > oneSectorBodyMax) return undefined;
    const target = log.placeOfOneSector(after.currentBatch);
    if (target === undefined) return undefined;
    const { epoch } = headers.content;
    const place = { epoch, batch: after.currentBatch, sector: target.sector };
    encodeOneSector(this.#sector, body, place, reader.salt);
    return { plan, target, bytes: this.#sector };
  }

  /**
   * As `commit`, for a record that is encoded and fits into the current segment: its batch adds
   * and drops no structure, but it may move maps. Throws as `commit`.
   */
  *commitSmall({ plan, target, bytes }: SmallRecord): Steps<void> {
    this.#recordRefused = false;
    if (!this.#core.housekeeping.quiet) {
      yield* this.#houseKeep({ urgent: false, room: false, fill: isSmallBatch(plan) });
    }
    try {
      this.#core.writer.writeNow(bytes, target.sector * sectorBytes);
    } catch (error) {
      const failure = ioError('writing the commit log', this.#core.path, error);
      this.#recordRefused = true;
      yield* this.#blank(target.sector, failure);
      throw failure;
    }
    yield* this.sync();
    yield* this.#publish(plan, target);
  }

  #plan({ works, freed, checkpoint, dropped, moves, carries = false }: Batch): Steps<BatchPlan> {
    const { atlas, log, space, published: before } = this.#core;
    let passedBytes = 0;
    for (const { logBytes } of freed.values()) passedBytes += logBytes;
    const retainedLogBytes = log.retainedWithout(passedBytes);
    this.#plannedAt ??= Date.now();
    // Field by field: this runs for each commit.
    return planBatch(atlas, {
      before,
      works,
      freed,
      checkpoint,
      retainedLogBytes,
      dropped,
      moves,
      now: this.#plannedAt,
      isShort: space.tight,
      carries,
    });
  }

  /** Writes everything of the batch but its values. */
  *#log(plan: BatchPlan): Steps<RecordTarget> {
    let target: RecordTarget | undefined;
    this.#recordRefused = true;
    try {
      target = yield* this.#place(plan);
      this.#recordRefused = false;
      yield* this.#houseKeep({ urgent: false, room: false, fill: isSmallBatch(plan) });
      yield* this.#backMarks(plan.added.maps.map(({ map }) => map));
      this.#recordRefused = true;
      yield* this.#writeRecord(plan, target);
      this.#recordRefused = false;
      return target;
    } catch (error) {
      if (!isPoisoned(error)) forgetBatch(this.#core, plan, target);
      throw error;
    }
  }

  /** Requires: the record is durable. Throws `VARVE_POISONED`. */
  #publish(plan: BatchPlan, target: RecordTarget): Steps<void> {
    return publishBatch(this.#core, this.#watch, plan, target);
  }

  /** Syncs. If the sync fails, the content of the disk is unknown: this poisons the store. */
  *sync(): Steps<void> {
    try {
      yield* this.#core.writer.sync();
    } catch (error) {
      throw this.#core.poison(error);
    }
    const settle = this.#core.housekeeping.synced();
    if (settle !== undefined) this.#watch.settled(settle);
  }

  /**
   * Plans the writes of the next round. The plan changes what the settle knows as it goes: an error
   * in the middle leaves writes that are lost and count as made, so it poisons the store.
   */
  #planHousekeeping(how: HousekeepingWish): HousekeepingRound {
    try {
      return this.#core.housekeeping.plan(how);
    } catch (error) {
      throw this.#core.poison(error);
    }
  }

  /**
   * Finds the place of the record. If the log has no room, it makes some, at the cost of more
   * syncs.
   *
   * On a full disk space is kept for batches that free more than they take:
   * - A batch with values leaves half of its lane, and most of the reserve, to batches that
   *   archive.
   * - A batch that only archives leaves a quarter of the lane to checkpoints and to giving maps
   *   back: a settle after these frees more than they took.
   */
  *#place(plan: BatchPlan): Steps<RecordTarget> {
    const { log, space, housekeeping, published } = this.#core;
    const givesBack = plan.after.checkpoint > published.checkpoint || plan.works.length === 0;
    const bringsValues = plan.works.some(({ pushedBytes }) => pushedBytes > 0);
    let settles = plan.dropped.length === 0 && plan.moves.length === 0;
    let refused: unknown;
    for (let round = 0; round < roundsMax; round++) {
      let spares = 0;
      if (space.tight && !givesBack) spares = bringsValues ? 1 / 2 : 1 / 4;
      const keep = space.tight && bringsValues ? this.#keptFromValues() : 0;
      const target = log.place(plan.body.length, plan.after.currentBatch, { space, spares });
      if (target !== undefined) return target;
      const wantsSettle = housekeeping.settleDue || (space.tight && housekeeping.canSettle);
      if (wantsSettle && settles) {
        housekeeping.beginSettle();
        settles = !space.tight;
      }
      refused = yield* this.#houseKeep({ urgent: true, room: true, fill: false, keep });
      if (refused !== undefined && housekeeping.canSettle) {
        throw ioError('making room in the commit log', this.#core.path, refused);
      }
      yield* this.sync();
    }
    if (refused !== undefined) {
      throw ioError('making room in the commit log', this.#core.path, refused);
    }
    throw internal('no room could be made in the commit log', { path: this.#core.path });
  }

  /**
   * Pages of the reserve that a new segment for a batch with values must leave. All of them, unless
   * there is only one segment and the checkpoint has reached it. Then only `bodyPagesKept`, or none
   * if as many other pages are free. The next checkpoint gives back as much as the new segment
   * takes, and half of that is for deletions until then.
   */
  #keptFromValues(): number {
    const { log, published, space } = this.#core;
    const isOnly = log.segments.length === 1 && published.checkpoint >= log.current.firstBatch;
    if (!isOnly) return Number.POSITIVE_INFINITY;
    return space.hasFree(bodyPagesKept) ? 0 : bodyPagesKept;
  }

  /**
   * Plans and writes a round. A write that fails is repeated with the next batch; if it fails
   * again, that batch fails. Returns the error of a write that fails no batch: the next log segment
   * is made elsewhere, and on a full disk a carried value waits.
   */
  *#houseKeep(wish: HousekeepingWish): Steps<unknown> {
    const round = this.#planHousekeeping(wish);
    let failure: unknown;
    let refused: unknown;
    for (const write of round.writes) {
      try {
        yield* this.#core.writer.write(write);
        this.#core.housekeeping.wrote(write);
        // Pause here only. The fill's zeros were chosen before; in a pause after that, values could
        // be written there, and the zeros would overwrite them. They are the first writes.
        if (write.purpose === 'settle') yield pause;
      } catch (error) {
        if (this.#core.housekeeping.failed(write)) failure = error;
        else if (write.purpose !== 'fill') refused = error;
      }
    }
    if (failure !== undefined && round.repeated) {
      throw ioError('settling', this.#core.path, failure);
    }
    return refused;
  }

  /**
   * Writes zeros over the marks of new maps that lie where the file has never been written. In a
   * sparse file, once the disk is full, a settle could not write these marks, and nothing is given
   * back without settles.
   */
  *#backMarks(maps: readonly GrainMap[]): Steps<void> {
    for (const map of maps) {
      if (map.marksBacked) continue;
      const zeros = new Uint8Array(map.overheadPages * pageBytes);
      yield* this.#write('writing a grain map', map.page * pageBytes, zeros);
      map.backMarks(true);
    }
  }

  /**
   * Writes the record. If the write fails, a part of the record may be in the file: its first
   * sector is blanked and synced, so that the next open cannot find a valid record. If that fails
   * too, and the sector is not blank, the store is poisoned. This cannot be avoided: the whole
   * record may be on the disk, and only a write can void it.
   *
   * The body in an extent is written first: it is no part of the log until a sector names it. If
   * the disk refuses that write, there is nothing to take back.
   */
  *#writeRecord(plan: BatchPlan, target: RecordTarget): Steps<void> {
    const { reader, headers } = this.#core;
    const { body, after } = plan;
    const { sector, extent } = target;
    const current = this.#core.published.currentBatch;
    assert(after.currentBatch === current + 1, 'a record follows that of the published batch');
    const place = { epoch: headers.content.epoch, batch: after.currentBatch, sector };
    const sectors = encodeRecordSectors(body, place, extent, reader.salt);
    const what = 'writing the commit log';
    if (extent !== undefined) yield* this.#write(what, extent.page * pageBytes, body);
    try {
      yield* this.#write(what, sector * sectorBytes, sectors);
    } catch (error) {
      yield* this.#blank(sector, error);
      throw error;
    }
  }

  *#blank(sector: number, cause: unknown): Steps<void> {
    try {
      yield* this.#write('blanking a record', sector * sectorBytes, new Uint8Array(sectorBytes));
    } catch (error) {
      // A full disk takes neither write: file systems that copy on write need space for both.
      if (this.#isBlank(sector)) return yield* this.sync();
      const message = 'a record could be neither written nor blanked';
      throw this.#core.poison(new AggregateError([cause, error], message));
    }
    yield* this.sync();
  }

  #isBlank(sector: number): boolean {
    try {
      return isBlank(this.#core.reader.bytes(sector * sectorBytes, sectorBytes));
    } catch {
      return false;
    }
  }

  /** Throws `VARVE_IO`. */
  *#write(what: string, offset: number, bytes: Uint8Array): Steps<void> {
    try {
      yield* this.#core.writer.write({ offset, chunks: [bytes] });
    } catch (error) {
      throw ioError(what, this.#core.path, error);
    }
  }

  /**
   * Ends the settle that is under way and makes a whole one: then the pages that it replaces are
   * free.
   */
  *settleNow(): Steps<void> {
    const { housekeeping } = this.#core;
    let begun = false;
    for (let round = 0; round < roundsMax; round++) {
      if (housekeeping.canSettle) {
        if (begun) return;
        housekeeping.beginSettle();
        begun = true;
      }
      yield* this.#settleRound();
    }
  }

  *settleAll(): Steps<void> {
    const { housekeeping, headers, published } = this.#core;
    let closing = false;
    for (let round = 0; round < roundsMax; round++) {
      if (closing && housekeeping.idle) return yield* this.#shrink();
      const isSettled = published.currentBatch === headers.content.settled.base;
      // A header copy not written since the opening is written only once, marked clean.
      if (!closing && (isSettled ? housekeeping.atRest : housekeeping.idle)) {
        closing = true;
        if (isSettled) headers.change({ clean: true });
        else housekeeping.beginSettle(true);
      }
      yield* this.#settleRound();
    }
    throw internal('the store could not be settled', { path: this.#core.path });
  }

  *#settleRound(): Steps<void> {
    yield* this.#houseKeep({ urgent: true, room: false, fill: false });
    yield* this.sync();
  }

  /**
   * Truncates the free end of the file. A power cut leaves it longer or shorter, and valid in both
   * cases.
   */
  *#shrink(): Steps<void> {
    const { reader, space, writer, path } = this.#core;
    // Keep the reserve on a full disk: another program would take the pages, and a later open lack
    // them.
    if (!space.tight) space.releaseReserve();
    const length = space.endPage * pageBytes;
    if (reader.length() <= length) return;
    try {
      yield* writer.truncate(length);
    } catch (error) {
      throw ioError('shrinking', path, error);
    }
    yield* this.sync();
  }
}
