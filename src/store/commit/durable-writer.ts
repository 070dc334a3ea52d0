/**
 * The writes and syncs that a commit's durability rests on: housekeeping, the record, the sync, and
 * the reaction to a failure of each. The Committer decides what is in a batch.
 *
 * Invariants:
 * - All syncs are made here. A failed sync poisons the store, and nothing more is written.
 * - A record whose write failed is blanked durably before its batch is rejected. If that fails, the
 *   store is poisoned.
 * - If housekeeping fails twice in a row, the commit that it rode on fails.
 */

import { internal, ioError, type VarveError } from '../../errors.ts';
import { pageBytes, sectorBytes } from '../../format/layout.ts';
import { encodeRecordSectors } from '../../format/log-sector.ts';
import { assert } from '../../util/assert.ts';
import { datasync, type FileWrite, pause, type Steps, writeBytes } from '../file/effects.ts';
import type { GrainMap } from '../grains/grain-map.ts';
import type { RecordTarget } from '../log/commit-log.ts';
import type { HousekeepingRound, HousekeepingWish } from '../settle/housekeeping.ts';
import type { StoreCore } from '../state/core.ts';
import type { BatchPlan } from './commit-plan.ts';

/** Rounds of housekeeping at most, to make room for one record or to settle. */
const roundsMax = 24;

/** Pages of the reserve kept for records that archive or free some thousand values. */
const bodyPagesKept = 4;

/** Thrown when the store has been poisoned; `error` is the error for the user. */
export class Poisoned {
  readonly error: VarveError;

  constructor(error: VarveError) {
    this.error = error;
  }
}

export class DurableWriter {
  readonly #core: StoreCore;

  constructor(core: StoreCore) {
    this.#core = core;
  }

  *write(write: FileWrite): Steps<void> {
    yield { kind: 'write', ...write };
    this.#core.counters.bytesWritten += writeBytes(write);
  }

  /** Syncs. If the sync fails, the content of the disk is unknown: this poisons the store. */
  *sync(): Steps<void> {
    try {
      this.#core.counters.syncs += 1;
      yield datasync;
    } catch (error) {
      throw this.poisoned(error);
    }
    this.#core.housekeeping.synced();
  }

  poisoned(cause: unknown): Poisoned {
    return new Poisoned(this.#core.poison(cause));
  }

  /**
   * Plans the writes of the next round. The plan changes what the settle knows as it goes: an error
   * in the middle leaves writes that are lost and count as made, so it poisons the store.
   */
  planHousekeeping(how: HousekeepingWish): HousekeepingRound {
    try {
      return this.#core.housekeeping.plan(how);
    } catch (error) {
      throw this.poisoned(error);
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
  *place(plan: BatchPlan): Steps<RecordTarget> {
    const { log, space, housekeeping, published } = this.#core;
    const givesBack = plan.after.checkpoint > published.checkpoint || plan.works.length === 0;
    const bringsValues = plan.works.some(({ pushedBytes }) => pushedBytes > 0);
    let settles = plan.dropped.length === 0;
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
      const planned = this.planHousekeeping({ urgent: true, room: true, fill: false, keep });
      const refused = yield* this.houseKeep(planned);
      if (refused !== undefined && housekeeping.canSettle) {
        throw ioError('making room in the commit log', this.#core.path, refused);
      }
      yield* this.sync();
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
   * Writes a round. A write that fails is repeated with the next batch; if it fails again, that
   * batch fails. Returns the error of writing the next log segment, which fails no batch: the
   * segment is made elsewhere.
   */
  *houseKeep(round: HousekeepingRound): Steps<unknown> {
    let failure: unknown;
    let refused: unknown;
    for (const write of round.writes) {
      try {
        yield* this.write(write);
        // Pause here only. The fill's zeros were chosen before; in a pause after that, values could
        // be written there, and the zeros would overwrite them. They are the first writes.
        if (write.purpose === 'settle') yield pause;
      } catch (error) {
        this.#core.housekeeping.failed(write);
        if (write.purpose === 'segment') refused = error;
        else if (write.purpose !== 'fill') failure = error;
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
  *backMarks(maps: readonly GrainMap[]): Steps<void> {
    for (const map of maps) {
      if (map.marksBacked) continue;
      const chunks = [new Uint8Array(map.overheadPages * pageBytes)];
      try {
        yield* this.write({ offset: map.page * pageBytes, chunks });
      } catch (error) {
        throw ioError('writing a grain map', this.#core.path, error);
      }
      map.backMarks(true);
    }
  }

  /**
   * Writes the record. If the write fails, a part of the record may be in the file: its first
   * sector is blanked and synced, so that the next open cannot find a valid record. If that fails
   * too, the store is poisoned. This cannot be avoided: the whole record may be on the disk, and
   * only a write can void it.
   *
   * The body in an extent is written first: it is no part of the log until a sector names it. If
   * the disk refuses that write, there is nothing to take back.
   */
  *writeRecord(plan: BatchPlan, target: RecordTarget): Steps<void> {
    const { reader, headers } = this.#core;
    const { body, after } = plan;
    const { sector, extent } = target;
    const current = this.#core.published.currentBatch;
    assert(after.currentBatch === current + 1, 'a record follows that of the published batch');
    const place = { epoch: headers.content.epoch, batch: after.currentBatch, sector };
    const sectors = encodeRecordSectors(body, place, extent, reader.salt);
    try {
      if (extent !== undefined) {
        yield* this.write({ offset: extent.page * pageBytes, chunks: [body] });
      }
    } catch (error) {
      throw ioError('writing the commit log', this.#core.path, error);
    }
    try {
      yield* this.write({ offset: sector * sectorBytes, chunks: [sectors] });
    } catch (error) {
      yield* this.#blank(sector, error);
      throw ioError('writing the commit log', this.#core.path, error);
    }
  }

  *#blank(sector: number, cause: unknown): Steps<void> {
    try {
      const chunks = [new Uint8Array(sectorBytes)];
      yield* this.write({ offset: sector * sectorBytes, chunks });
    } catch (error) {
      const message = 'a record could be neither written nor blanked';
      throw this.poisoned(new AggregateError([cause, error], message));
    }
    yield* this.sync();
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
      yield* this.houseKeep(this.planHousekeeping({ urgent: true, room: false, fill: false }));
      yield* this.sync();
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
      const planned = this.planHousekeeping({ urgent: true, room: false, fill: false });
      yield* this.houseKeep(planned);
      yield* this.sync();
    }
    throw internal('the store could not be settled', { path: this.#core.path });
  }

  /**
   * Truncates the free end of the file. A power cut leaves it longer or shorter, and valid in both
   * cases.
   */
  *#shrink(): Steps<void> {
    const { reader, space, path } = this.#core;
    // Keep the reserve on a full disk: another program would take the pages, and a later open lack
    // them.
    if (!space.tight) space.releaseReserve();
    const length = space.endPage * pageBytes;
    if (reader.length() <= length) return;
    try {
      yield { kind: 'truncate', length };
    } catch (error) {
      throw ioError('shrinking', path, error);
    }
    yield* this.sync();
  }
}
