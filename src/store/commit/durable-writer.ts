/**
 * The writes and syncs of an open store that its durability rests on: housekeeping, the record of a
 * batch, the sync, and what is to be done when one of them fails.
 *
 * Invariant: a sync that fails poisons the store and nothing more is written; a record whose write
 * failed is blanked, durably, before its batch is rejected, or the store is poisoned; housekeeping
 * that fails twice in a row is told to the commit that it rode on. All syncs are made here. What is
 * in a batch is the Committer's business.
 */

import { internal, ioError, type VarveError } from '../../errors.ts';
import { pageBytes, sectorBytes } from '../../format/layout.ts';
import { encodeRecordSectors } from '../../format/log-sector.ts';
import { datasync, type FileWrite, pause, type Steps, writeBytes } from '../file/effects.ts';
import type { GrainMap } from '../grains/grain-map.ts';
import type { RecordTarget } from '../log/commit-log.ts';
import type { HousekeepingRound } from '../settle/housekeeping.ts';
import type { StoreCore } from '../state/core.ts';
import type { BatchPlan } from './commit-plan.ts';

/** Rounds of housekeeping that making room for one record may take. */
const roundsMax = 24;

/** Pages of the reserve that are left for records which archive or free some thousand values. */
const bodyPagesKept = 4;

/** The sync failed and the store is poisoned. */
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

  /** Syncs; where that fails, nobody knows what the disk holds. */
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
   * Where the record goes; makes room first where there is none, at the cost of further syncs. On a
   * full disk a batch that brings values leaves half of its lane and most of the reserve to those
   * that only archive, and those leave a quarter to checkpoints and to giving maps back: after
   * these a settle frees more than they took.
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
      const planned = housekeeping.plan({ urgent: true, room: true, fill: false, keep });
      const refused = yield* this.houseKeep(planned);
      if (refused !== undefined && housekeeping.canSettle) {
        throw ioError('making room in the commit log', this.#core.path, refused);
      }
      yield* this.sync();
    }
    throw internal('no room could be made in the commit log', { path: this.#core.path });
  }

  /**
   * Pages of the reserve that a segment for a batch that brings values leaves: all, or few if there
   * is one segment only, and the checkpoint has come as far as that. Then the next checkpoint gives
   * back as much as the new segment takes, and meanwhile half of it is for deletions.
   */
  #keptFromValues(): number {
    const { log, published, space } = this.#core;
    const isOnly = log.segments.length === 1 && published.checkpoint >= log.current.firstBatch;
    if (!isOnly) return Number.POSITIVE_INFINITY;
    return space.hasFree(bodyPagesKept) ? 0 : bodyPagesKept;
  }

  /**
   * A write that fails is repeated with the next batch; where it fails again, that batch says so.
   * Gives the error of the next segment's write, which is not: it goes elsewhere.
   */
  *houseKeep(round: HousekeepingRound): Steps<unknown> {
    let failure: unknown;
    let refused: unknown;
    for (const write of round.writes) {
      try {
        yield* this.write(write);
        // Never between the zeros ahead and what was decided with them: those are written first.
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
   * Zeros over the marks of new maps that lie where the file has never been written. Where files
   * are sparse and the disk is full later, a settle could not write them, and everything waits for
   * settles.
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
      map.marksBacked = true;
    }
  }

  /**
   * Writes the record. Where that fails, a part of it may be in the file: its first sector is
   * blanked and synced, so that no power cut can make a record of it; where that fails too,
   * poison. That cannot be avoided: all sectors of the record may be on the disk, and to void them
   * takes a write, here or in a file header; while the disk refuses writes, "nothing of it will be
   * there" cannot be said. A body in an extent of its own is no part of a record until a sector
   * names it. If the write of the extent is refused, there is nothing to take back.
   */
  *writeRecord(plan: BatchPlan, target: RecordTarget): Steps<void> {
    const { reader, headers } = this.#core;
    const { body, after } = plan;
    const { sector, extent } = target;
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
      const message = 'a record could be neither written nor taken back';
      throw this.poisoned(new AggregateError([cause, error], message));
    }
    yield* this.sync();
  }

  /** A whole settle at once, after the one that is under way: what it replaces is free then. */
  *settleNow(): Steps<void> {
    const { housekeeping } = this.#core;
    let begun = false;
    for (let round = 0; round < roundsMax; round++) {
      if (housekeeping.canSettle) {
        if (begun) return;
        housekeeping.beginSettle();
        begun = true;
      }
      yield* this.houseKeep(housekeeping.plan({ urgent: true, room: false, fill: false }));
      yield* this.sync();
    }
  }

  *settleAll(): Steps<void> {
    const { housekeeping, headers, published } = this.#core;
    let closing = false;
    for (let round = 0; round < roundsMax; round++) {
      if (closing && housekeeping.idle) return yield* this.#shrink();
      const isSettled = published.currentBatch === headers.content.settled.base;
      // A header copy that lags since the opening is written once, marked clean.
      if (!closing && (isSettled ? housekeeping.atRest : housekeeping.idle)) {
        closing = true;
        if (isSettled) headers.change({ clean: true });
        else housekeeping.beginSettle(true);
      }
      const planned = housekeeping.plan({ urgent: true, room: false, fill: false });
      yield* this.houseKeep(planned);
      yield* this.sync();
    }
    throw internal('the store could not be settled', { path: this.#core.path });
  }

  /** Gives the free end of the file back. A power cut leaves it longer or shorter, and as sound. */
  *#shrink(): Steps<void> {
    const { reader, space, path } = this.#core;
    // On a full disk the reserve stays: whoever takes the pages would not give them back.
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
