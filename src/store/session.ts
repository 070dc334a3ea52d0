/**
 * Session: one writer's changes, as its user holds them.
 *
 * Invariant: a session ends once. Afterwards `get` works until its commit has settled, and nothing
 * else does anything. Its operations live in a separate `SessionWork`, so that a session that is
 * garbage-collected before its end is abandoned. The Committer makes it durable.
 */

import { corrupt, invalidArgument, VarveError } from '../errors.ts';
import { GrainId, joinGrainId, split, splitGrainId } from '../format/grain-id.ts';
import { valuePrefixBytes } from '../format/layout.ts';
import { grainCount } from '../format/value.ts';
import type { Committer } from './commit/committer.ts';
import type { HeaderClaim } from './commit/header-claim.ts';
import { checkSession, type OpenSessions, sessionEnded } from './commit/open-sessions.ts';
import type { SessionWork, StagedValue } from './commit/session-work.ts';
import { writeAhead, writeThrough } from './commit/value-writer.ts';
import type { Reservation } from './grains/atlas.ts';
import { type BatchId, checkBatch } from './state/batch-id.ts';
import type { StoreCore } from './state/core.ts';
import type { Pushes, PushStreamOptions } from './streams/pushes.ts';
import { stagedBytesMax } from './values/staging-memory.ts';
import { checkData, checkId, checkLength } from './values/value-arguments.ts';
import { type ValuePlace, valuePlace } from './values/value-place.ts';

/** The parts of the store that a session needs. */
export interface SessionHome {
  readonly core: StoreCore;
  readonly committer: Committer;
  /** Sessions that have not ended: closing abandons them. */
  readonly open: OpenSessions;
  /** Pushes of open sessions that take several turns. */
  readonly pushes: Pushes;
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
    checkSession(this.#work, this.#home.core);
  }

  #ended(): VarveError {
    return sessionEnded(this.#work, this.#home.core);
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

  /**
   * As `push`, without blocking: large data is written asynchronously. Do not change the bytes
   * until this settles. Until then, `commit` is `VARVE_BUSY`.
   *
   * Rejects as `push` throws, and with `VARVE_IO` or `VARVE_POISONED` if the write fails. The value
   * is then withdrawn. If what is staged could not be written, `commit` rejects too; after a failed
   * write of a large value the session stays usable. `abandon` ends the push with
   * `VARVE_SESSION_ENDED`, closing the store with `VARVE_CLOSED`.
   */
  pushAsync(value: Uint8Array): Promise<GrainId> {
    // Not awaited here: a push that waits does not keep its session from collection.
    return this.#home.pushes.bytes(this.#work, value);
  }

  /**
   * Stores a value of `length` bytes from a stream, in memory of 1 MiB. A chunk may be changed once
   * the next one is asked for. Until this settles, `commit` is `VARVE_BUSY`.
   *
   * Rejects with `VARVE_INVALID_ARGUMENT` if the source yields more or fewer bytes, with the
   * source's own error, with the reason of `signal`, and as `pushAsync`. Then the source is
   * cancelled, unless it has ended, the value is withdrawn and the session stays usable.
   */
  pushStream(
    source: AsyncIterable<Uint8Array> | ReadableStream<Uint8Array>,
    options: PushStreamOptions,
  ): Promise<GrainId> {
    return this.#home.pushes.stream(this.#work, source, options);
  }

  /**
   * As `pushStream`, for bytes that depend on their own id, such as frames sealed for it. Reserves
   * the grains first, and stores what the source yields that `make` returns for the id. If `make`
   * throws, nothing is reserved and the promise rejects with the error.
   */
  pushStreamWith(
    make: (id: GrainId) => AsyncIterable<Uint8Array> | ReadableStream<Uint8Array>,
    options: PushStreamOptions,
  ): Promise<GrainId> {
    return this.#home.pushes.streamWith(this.#work, make, options);
  }

  /**
   * Moves all work of another open session of the same store into this one; `other` ends. An
   * embedded header that it has set replaces this session's. Throws `VARVE_BUSY` while a push of
   * `other` is in flight, `VARVE_SESSION_ENDED`, `VARVE_INVALID_ARGUMENT` for a session of another
   * store, this one itself, and that of `Store.updateEmbeddedHeader`.
   */
  adopt(other: Session): void {
    this.#checkOpen();
    const isSession = typeof other === 'object' && other !== null && #work in other;
    if (!isSession || other.#home !== this.#home || other === this) {
      throw invalidArgument('Session.adopt', 'another session of the same store', other);
    }
    const work = other.#work;
    if (!work.isOpen) throw other.#ended();
    if (work.replacesHeader) {
      throw invalidArgument('Session.adopt', 'a session that its user commits', other);
    }
    if (work.isPushing) throw pushing();
    this.#home.open.delete(work, other);
    this.#work.adopt(work);
    if (this.#work.stagedBytes > stagedBytesMax) writeAhead(this.#home.core, this.#work);
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
   * Rejects with `VARVE_BUSY`, with the session still open, while a `pushAsync` or `pushStream` is
   * in flight. Rejects with `VARVE_IO` (the disk refused), `VARVE_CLOSED`, `VARVE_SESSION_ENDED`,
   * `VARVE_NOT_FOUND` (the embedded header has been freed meanwhile), or `VARVE_POISONED`. If this
   * commit's own sync failed, that has the disk's error as `cause`: its changes are not visible
   * now, and may or may not be after reopening.
   */
  async commit(): Promise<BatchId> {
    this.#checkCommittable();
    const { core, committer } = this.#home;
    if (!this.#beginCommit()) return core.published.currentBatch;
    return await committer.commit(this.#work);
  }

  /**
   * As `commit`, on the calling thread: the fastest way for one writer, but it blocks the event
   * loop for one sync. Throws `VARVE_BUSY`, with the session still open, while another session's
   * commit is queued or in flight, and as `commit`.
   */
  commitSync(): BatchId {
    this.#checkCommittable();
    const { core, committer } = this.#home;
    if (committer.busy) {
      throw new VarveError('VARVE_BUSY', 'another commit is queued or under way');
    }
    if (!this.#beginCommit()) return core.published.currentBatch;
    return committer.commitSync(this.#work);
  }

  #checkCommittable(): void {
    if (!this.#work.isOpen) throw this.#ended();
    if (this.#work.isPushing) throw pushing();
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

  /**
   * Gives the reserved grains back, and drops the session's changes. Pushes in flight end with
   * `VARVE_SESSION_ENDED`, and their sources are cancelled.
   */
  abandon(): void {
    if (!this.#work.isOpen) return;
    this.#home.open.delete(this.#work, this);
    this.#work.giveUp();
  }

  [Symbol.dispose](): void {
    this.abandon();
  }
}

function pushing(): VarveError {
  return new VarveError('VARVE_BUSY', 'a push of the session is in flight');
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
