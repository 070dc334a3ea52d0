/**
 * Session: one writer's changes, as its user holds them.
 *
 * Invariant: a session ends once. Afterwards `get` works until its commit has settled, and nothing
 * else does anything. Its operations live in a separate `SessionWork`, so that a session that is
 * garbage-collected before its end is abandoned. The Committer makes it durable.
 */

import { corrupt, invalidArgument, VarveError } from '../errors.ts';
import { GrainId, joinGrainId, split, splitGrainId } from '../format/grain-id.ts';
import { valueBytesMax, valuePrefixBytes } from '../format/layout.ts';
import { grainCount } from '../format/value.ts';
import { isBytes, ownedByThread } from '../util/bytes.ts';
import type { Committer } from './commit/committer.ts';
import type { HeaderClaim } from './commit/header-claim.ts';
import type { OpenSessions } from './commit/open-sessions.ts';
import type { SessionWork, StagedValue } from './commit/session-work.ts';
import { writeAhead, writeThrough } from './commit/value-writer.ts';
import type { Reservation } from './grains/atlas.ts';
import { type BatchId, checkBatch } from './state/batch-id.ts';
import type { StoreCore } from './state/core.ts';
import { stagedBytesMax } from './values/staging-memory.ts';
import { type ValuePlace, valuePlace } from './values/value-reader.ts';

/** The parts of the store that a session needs. */
export interface SessionHome {
  readonly core: StoreCore;
  readonly committer: Committer;
  /** Sessions that have not ended: closing abandons them. */
  readonly open: OpenSessions;
  /** The claim of the embedded header. */
  readonly header: HeaderClaim;
}

let construct: (home: SessionHome, work: SessionWork) => Session;

/** Makes a session. `Store.session` is the public way. */
export function newSession(home: SessionHome, work: SessionWork): Session {
  return construct(home, work);
}

/**
 * One writer's changes. A session ends when `commit` or `abandon` is called, or when `commitSync`
 * returns or throws anything but `VARVE_BUSY`. A session that is garbage-collected before that is
 * abandoned.
 *
 * After its end `get` works until the commit has settled, or throws the error that the commit is
 * about to reject with. `abandon` and dispose do nothing; `commit` rejects and everything else
 * throws, both with `VARVE_SESSION_ENDED`.
 */
export class Session implements Disposable {
  readonly #home: SessionHome;
  readonly #work: SessionWork;

  private constructor(home: SessionHome, work: SessionWork) {
    this.#home = home;
    this.#work = work;
    home.open.add(work, this);
  }

  static {
    construct = (home, work) => new Session(home, work);
  }

  #checkOpen(): void {
    if (!this.#work.isOpen) throw this.#ended();
    this.#home.core.checkWritable();
  }

  /**
   * The error of a call after the end: the session has ended, or the store was closed before it
   * did.
   */
  #ended(): VarveError {
    return this.#work.closedWithStore ? this.#home.core.closedError() : ended();
  }

  /**
   * Reserves grains for the bytes. The id is final; others can read the value after `commit`. Up to
   * 1 MiB is copied. A larger value, or one that takes the session past 1 MiB staged, is written to
   * its unpublished grains before `push` returns. This blocks (`Store.put` does not); if the write
   * fails, `commit` rejects. Throws `VARVE_TOO_LARGE` beyond 4 GiB - 1 KiB,
   * `VARVE_INVALID_ARGUMENT` for anything but a Uint8Array.
   */
  push(value: Uint8Array): GrainId {
    this.#checkOpen();
    const data = checkData('Session.push', value);
    return this.#take(this.#reserve(data.length), data);
  }

  /**
   * As `push`, for bytes that depend on their own id, such as bytes sealed for it. Reserves grains
   * for `length` bytes, and stores the result of `make` for the id. If `make` throws, nothing is
   * reserved and the error is thrown. A result of other than `length` bytes is
   * `VARVE_INVALID_ARGUMENT`.
   */
  pushWith(length: number, make: (id: GrainId) => Uint8Array): GrainId {
    this.#checkOpen();
    checkLength('Session.pushWith', length);
    if (typeof make !== 'function') throw invalidArgument('Session.pushWith', 'a function', make);
    const place = this.#reserve(length);
    const { stratum, index, count } = place;
    try {
      const made = make(joinGrainId(stratum.basin, stratum.number, index));
      const data = checkData('Session.pushWith', made);
      if (data.length !== length) {
        throw invalidArgument('Session.pushWith', `${length} bytes for the id`, data);
      }
      // `make` may have ended the session.
      this.#checkOpen();
      return this.#take(place, data);
    } catch (error) {
      stratum.release(index, count);
      throw error;
    }
  }

  #reserve(length: number): Reservation {
    return this.#home.core.atlas.reserve(length, this.#work.preferred);
  }

  /** Stages the bytes for their reserved grains, or writes them. */
  #take(place: Reservation, data: Uint8Array): GrainId {
    const work = this.#work;
    const { core } = this.#home;
    if (place.count * place.stratum.grainBytes > stagedBytesMax) {
      return writeThrough(core, work, place, data).id;
    }
    const { id } = work.stage(place, data);
    if (work.stagedBytes > stagedBytesMax) writeAhead(core, work);
    return id;
  }

  /**
   * Marks a committed value, which a later checkpoint frees. A value pushed by this session is
   * withdrawn: its grains are free again. Throws:
   * - `VARVE_NOT_FOUND` if the id names no committed value.
   * - `VARVE_ALREADY_ARCHIVED` if a committed session, this one, or another one that is open or
   *   committing has archived it.
   * - `VARVE_CORRUPT` if the length stored with it is impossible.
   * - `VARVE_INVALID_ARGUMENT` for the root of a structure that uses the store
   *   (`Store.claimEmbeddedHeader`).
   */
  archive(id: GrainId): void {
    this.#checkOpen();
    checkId('Session.archive', id);
    const { core } = this.#home;
    // One lookup: the value is committed, or this session's own, or does not exist.
    const found = splitGrainId(id) ? core.atlas.find(split) : undefined;
    if (found === undefined) {
      const own = this.#work.own(id);
      if (own === undefined) throw noSuchValue(id);
      this.#work.withdraw(own);
      return;
    }
    this.#home.header.checkArchive(id, this.#work);
    const home = found.stratum;
    const place = valuePlace(split, found.map, found.count);
    if (found.archived || home.isClaimed(place.id.index)) {
      const message = `the value ${GrainId.format(id)} is archived already`;
      throw new VarveError('VARVE_ALREADY_ARCHIVED', message, { grainId: id });
    }
    const length = core.values.length(place);
    if (grainCount(length, home.grainExp) !== found.count) throw wrongLength(place, length);
    this.#work.claim(home, place.id.index, found.count, length);
  }

  /**
   * Does `Store.checkpointTo(batch)` as part of this session's commit; same rules. Throws
   * `VARVE_INVALID_ARGUMENT` for a batch after the current one.
   */
  checkpointTo(batch: BatchId): void {
    this.#checkOpen();
    checkBatch('Session.checkpointTo', batch, this.#home.core.published.currentBatch);
    if (batch <= this.#home.core.published.checkpoint) return;
    this.#work.checkpointTo = Math.max(batch, this.#work.checkpointTo ?? 0);
  }

  /**
   * Sets the embedded header as part of this commit; null clears it. Throws `VARVE_NOT_FOUND` if
   * the id is neither committed nor this session's. If several sessions of a batch set it, the last
   * `commit` call wins.
   */
  setEmbeddedHeader(id: GrainId | null): void {
    this.#checkOpen();
    if (id !== null) {
      checkId('Session.setEmbeddedHeader', id);
      if (this.#work.own(id) === undefined && this.#home.core.place(id) === undefined) {
        throw noSuchValue(id);
      }
    }
    this.#work.embeddedHeader = id;
  }

  /** Reads the session's own values, then the store's. Throws as `Store.get`. */
  get(id: GrainId): Uint8Array<ArrayBuffer> | undefined {
    const { core } = this.#home;
    if (this.#work.hasEnded) throw this.#work.failure ?? this.#ended();
    core.checkOpen();
    checkId('Session.get', id);
    const own = this.#work.own(id);
    if (own !== undefined) return this.#ownBytes(own);
    return core.read(id);
  }

  #ownBytes(own: StagedValue): Uint8Array<ArrayBuffer> {
    const { home, count, length, bytes } = own;
    if (bytes !== undefined) return bytes.slice(valuePrefixBytes, valuePrefixBytes + length);
    if (this.#work.writeError !== undefined) throw this.#work.writeError;
    return this.#home.core.values.read(valuePlace(own, home.mapOf(own.index), count));
  }

  /**
   * Makes all changes of the session durable, or none. Sessions that commit while another commit is
   * being synced share the next sync. A session without changes resolves to `currentBatch`. After a
   * rejection other than `VARVE_POISONED` nothing of the session is visible, now or after
   * reopening, and its grains are free again.
   *
   * Rejects with `VARVE_IO` (the disk refused), `VARVE_CLOSED`, `VARVE_SESSION_ENDED`,
   * `VARVE_NOT_FOUND` (the embedded header has been freed meanwhile), or `VARVE_POISONED`. If this
   * commit's own sync failed, that has the disk's error as `cause`: its changes are not visible
   * now, and may or may not be after reopening.
   */
  async commit(): Promise<BatchId> {
    if (!this.#work.isOpen) throw this.#ended();
    const { core, committer } = this.#home;
    if (!this.#beginCommit()) return core.published.currentBatch;
    return await committer.commit(this.#work);
  }

  /**
   * As `commit`, on the calling thread: the fastest way for one writer, but it blocks the event
   * loop for one sync. Throws `VARVE_BUSY`, with the session still open, while another session's
   * commit is queued or in flight.
   */
  commitSync(): BatchId {
    if (!this.#work.isOpen) throw this.#ended();
    const { core, committer } = this.#home;
    if (committer.busy) {
      throw new VarveError('VARVE_BUSY', 'another commit is queued or under way');
    }
    if (!this.#beginCommit()) return core.published.currentBatch;
    return committer.commitSync(this.#work);
  }

  /** Ends the session for its user; false if it has no changes. Throws as `checkWritable`. */
  #beginCommit(): boolean {
    const { core, open } = this.#home;
    const work = this.#work;
    open.delete(work, this);
    work.beginCommit();
    try {
      core.checkWritable();
    } catch (error) {
      work.giveUp();
      throw error;
    }
    if (work.isEmpty) work.done();
    return !work.hasEnded;
  }

  /** Gives the reserved grains back, and drops the session's changes. */
  abandon(): void {
    if (!this.#work.isOpen) return;
    this.#home.open.delete(this.#work, this);
    this.#work.giveUp();
  }

  [Symbol.dispose](): void {
    this.abandon();
  }
}

function ended(): VarveError {
  return new VarveError('VARVE_SESSION_ENDED', 'the session has ended');
}

function noSuchValue(id: GrainId): VarveError {
  const text = splitGrainId(id) ? `${split.basin}-${split.stratum}-${split.index}` : `${id}n`;
  return new VarveError('VARVE_NOT_FOUND', `there is no committed value ${text}`, { grainId: id });
}

function wrongLength({ offset }: ValuePlace, length: number): VarveError {
  return corrupt(`the stored length of a value, ${length} bytes, does not match its grains`, {
    offset,
  });
}

/** Throws `VARVE_INVALID_ARGUMENT` for anything but a bigint. */
export function checkId(what: string, id: unknown): void {
  if (typeof id !== 'bigint') throw invalidArgument(what, 'a GrainId', id);
}

/**
 * The bytes of a value, which no other thread can change. Throws `VARVE_INVALID_ARGUMENT`,
 * `VARVE_TOO_LARGE`.
 */
export function checkData(what: string, data: unknown): Uint8Array {
  if (!isBytes(data)) throw invalidArgument(what, 'a Uint8Array that is not detached', data);
  checkLength(what, data.length);
  return ownedByThread(data);
}

/** Throws `VARVE_INVALID_ARGUMENT`, `VARVE_TOO_LARGE`. */
function checkLength(what: string, length: number): void {
  if (!Number.isSafeInteger(length) || length < 0) {
    throw invalidArgument(what, 'a whole number of bytes', length);
  }
  if (length <= valueBytesMax) return;
  const message = `${what}: a value has at most ${valueBytesMax} bytes, this one ${length}`;
  const facts = { expected: valueBytesMax, actual: length };
  throw new VarveError('VARVE_TOO_LARGE', message, facts);
}
