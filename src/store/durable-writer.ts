/**
 * The writes and syncs of an open store that its durability rests on: housekeeping, the record of a
 * batch, the sync, and what is to be done when one of them fails.
 *
 * Invariant: a sync that fails poisons the store and nothing more is written; a record whose write
 * failed is blanked, durably, before its batch is rejected, or the store is poisoned; housekeeping
 * that fails twice in a row is told to the commit that it rode on. All syncs are made here. What is
 * in a batch is the Committer's business.
 */

import { internal, ioError, type VarveError } from '../errors.ts';
import { pageBytes, sectorBytes } from '../format/layout.ts';
import { encodeRecordSectors } from '../format/log-sector.ts';
import type { RecordTarget } from './commit-log.ts';
import type { BatchPlan } from './commit-plan.ts';
import type { StoreCore } from './core.ts';
import { datasync, type FileWrite, type Steps, writeBytes } from './effects.ts';
import type { HousekeepingRound } from './housekeeping.ts';

/** Rounds of housekeeping that making room for one record may take. */
const roundsMax = 24;

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

  /** Where the record goes; makes room first where there is none, at the cost of further syncs. */
  *place(plan: BatchPlan): Steps<RecordTarget> {
    const { log, space, housekeeping } = this.#core;
    for (let round = 0; round < roundsMax; round++) {
      const target = log.place(plan.body.length, plan.after.currentBatch, space);
      if (target !== undefined) return target;
      if (housekeeping.settleDue && plan.dropped.length === 0) housekeeping.beginSettle();
      yield* this.houseKeep(housekeeping.plan({ urgent: true, room: true, fill: false }));
      yield* this.sync();
    }
    throw internal('no room could be made in the commit log', { path: this.#core.path });
  }

  /**
   * A write that fails is repeated with the next batch; where it fails again, that batch says so.
   */
  *houseKeep(round: HousekeepingRound): Steps<void> {
    let failure: unknown;
    for (const write of round.writes) {
      try {
        yield* this.write(write);
      } catch (error) {
        this.#core.housekeeping.failed(write);
        if (write.purpose !== 'fill') failure = error;
      }
    }
    if (failure !== undefined && round.repeated) {
      throw ioError('settling', this.#core.path, failure);
    }
  }

  /**
   * Writes the record. Where that fails, a part of it may be in the file: its first sector is
   * blanked and synced, so that no power cut can make a record of it; where that fails too,
   * poison.
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
      const { writes } = housekeeping.plan({ urgent: true, room: false, fill: false });
      yield* this.houseKeep({ writes, repeated: true });
      yield* this.sync();
    }
    throw internal('the store could not be settled', { path: this.#core.path });
  }

  /** Gives the free end of the file back. A power cut leaves it longer or shorter, and as sound. */
  *#shrink(): Steps<void> {
    const { reader, space, path } = this.#core;
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
