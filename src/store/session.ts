/**
 * Session: one writer's changes, as its user holds them.
 *
 * Invariant: a session ends once; afterwards `get` answers until its commit has settled and
 * nothing else does anything. What it asked for lives in a `SessionWork` of its own, so that a
 * session which is garbage-collected unended is abandoned. Durability is the Committer's.
 */

import { corrupt, invalidArgument, VarveError } from '../errors.ts';
import { GrainId, joinGrainId, split, splitGrainId } from '../format/grain-id.ts';
import { valueBytesMax, valuePrefixBytes } from '../format/layout.ts';
import { encodeValuePrefix, grainCount, valueCrc } from '../format/value.ts';
import { isBytes, ownedByThread } from '../util/bytes.ts';
import type { Committer } from './commit/committer.ts';
import type { HeaderClaim } from './commit/header-claim.ts';
import type { OpenSessions } from './commit/open-sessions.ts';
import type { SessionWork, StagedValue } from './commit/session-work.ts';
import { type FileWrite, writeBytes } from './file/effects.ts';
import { writesTo } from './file/file-parts.ts';
import type { Reservation } from './grains/atlas.ts';
import { type BatchId, checkBatch } from './state/batch-id.ts';
import type { StoreCore } from './state/core.ts';
import { stagedBytesMax } from './values/staging-memory.ts';
import { type ValuePlace, valuePlace } from './values/value-reader.ts';

/** What a session works with. */
export interface SessionHome {
  readonly core: StoreCore;
  readonly committer: Committer;
  /** Sessions that have not ended: closing abandons them. */
  readonly open: OpenSessions;
  /** Whose root the embedded header is. */
  readonly header: HeaderClaim;
}

let construct: (home: SessionHome, work: SessionWork) => Session;

/** Makes a session. `Store.session` is the public way. */
export function newSession(home: SessionHome, work: SessionWork): Session {
  return construct(home, work);
}

/**
 * One writer's changes. A session ends when `commit` or `abandon` is called, or when `commitSync`
 * returns or throws anything but `VARVE_BUSY`. After that: `get` goes on answering until the
 * commit has settled, or throws what the commit is about to reject with; `abandon` and dispose do
 * nothing, `commit` rejects and everything else throws, both with `VARVE_SESSION_ENDED`. A session
 * that is garbage-collected unended is abandoned.
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
    if (this.#work.state !== 'open') throw this.#ended();
    this.#home.core.checkWritable();
  }

  /** Why the session takes nothing more: it has ended, or was open when the store was closed. */
  #ended(): VarveError {
    return this.#work.closedWithStore ? this.#home.core.closedError() : ended();
  }

  /**
   * Reserves grains for the bytes; the id is final; the value is readable by others after
   * `commit`. Up to 1 MiB is copied; a larger value, or one that takes the session past 1 MiB
   * staged, is written to its unpublished grains before `push` returns (this blocks; `Store.put`
   * does not); where that write fails, `commit` says so. Throws `VARVE_TOO_LARGE` beyond 4 GiB - 1
   * KiB, `VARVE_INVALID_ARGUMENT` for what is no Uint8Array.
   */
  push(value: Uint8Array): GrainId {
    this.#checkOpen();
    const data = checkData('Session.push', value);
    return this.#take(this.#reserve(data.length), data);
  }

  /**
   * As `push`, for bytes that depend on their own id, as those that are sealed for it: reserves
   * grains for `length` bytes, and stores what `make` gives for the id. Where `make` throws,
   * nothing is reserved and the error goes on; where it gives other than `length` bytes that is
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
      // It may have ended the session.
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

  /** The bytes go to the grains that are reserved for them. */
  #take(place: Reservation, data: Uint8Array): GrainId {
    const work = this.#work;
    if (place.count * place.stratum.grainBytes > stagedBytesMax) {
      return this.#writeThrough(place, data).id;
    }
    const { id } = work.stage(place, data);
    if (work.stagedBytes > stagedBytesMax) this.#writeAhead();
    return id;
  }

  /** Writes a value straight from the caller's memory to its grains. */
  #writeThrough(place: Reservation, data: Uint8Array): StagedValue {
    const { stratum, index } = place;
    const id = { basin: stratum.basin, stratum: stratum.number, index };
    const crc = valueCrc(id, data);
    const prefix = new Uint8Array(valuePrefixBytes);
    encodeValuePrefix(prefix, data.length, crc);
    const parts = stratum.partsOf(index, valuePrefixBytes + data.length);
    for (const write of writesTo(parts, [prefix, data])) this.#write(write);
    return this.#work.addWritten(place, data.length, crc);
  }

  #writeAhead(): void {
    for (const write of this.#work.pendingWrites()) this.#write(write);
    this.#work.forgetBytes();
  }

  #write(write: FileWrite): void {
    const { core } = this.#home;
    if (this.#work.writeError !== undefined) return;
    const bytes = writeBytes(write);
    try {
      core.lengthen(write.offset + bytes);
      core.file.writeSync(write.chunks, write.offset);
      core.values.cache.written(write.chunks, write.offset);
      core.counters.bytesWritten += bytes;
    } catch (error) {
      core.values.cache.forget(write.offset, bytes);
      this.#work.failed(core.path, error);
    }
  }

  /**
   * Marks a committed value to be freed by a later checkpoint. A value pushed by this very session
   * is withdrawn: its grains are free again. Throws `VARVE_NOT_FOUND` where the id names no
   * committed value, `VARVE_ALREADY_ARCHIVED` where a committed session, this one, or another
   * still open or committing has archived it, `VARVE_CORRUPT` where the length stored with it is
   * impossible, `VARVE_INVALID_ARGUMENT` for the root of a structure that uses the store
   * (`Store.claimEmbeddedHeader`).
   */
  archive(id: GrainId): void {
    this.#checkOpen();
    checkId('Session.archive', id);
    const { core } = this.#home;
    // One lookup: a value is committed, or this session's own, or neither.
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
    if (found.archived || home.claims.has(place.id.index)) {
      const message = `the value ${GrainId.format(id)} is archived already`;
      throw new VarveError('VARVE_ALREADY_ARCHIVED', message, { grainId: id });
    }
    const length = core.values.length(place);
    if (grainCount(length, home.grainExp) !== found.count) throw wrongLength(place, length);
    this.#work.claim(home, place.id.index, found.count, length);
  }

  /**
   * Asks for `Store.checkpointTo(batch)` as a part of this session's own commit; same rules.
   * Throws `VARVE_INVALID_ARGUMENT` for a batch after the current one.
   */
  checkpointTo(batch: BatchId): void {
    this.#checkOpen();
    checkBatch('Session.checkpointTo', batch, this.#home.core.published.currentBatch);
    if (batch <= this.#home.core.published.checkpoint) return;
    this.#work.checkpointTo = Math.max(batch, this.#work.checkpointTo ?? 0);
  }

  /**
   * Replaces the embedded header as part of this commit; null clears it. Throws `VARVE_NOT_FOUND`
   * where the id is neither committed nor this session's. Within a batch the last in order of
   * `commit` calls wins.
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

  /** The session's own staged values, then the store's. Throws as `Store.get`. */
  get(id: GrainId): Uint8Array<ArrayBuffer> | undefined {
    const { core } = this.#home;
    if (this.#work.state === 'ended') throw this.#work.failure ?? this.#ended();
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
   * Makes everything above durable at once or not at all. Sessions that commit while another
   * commit is being synced share the next sync. A session with nothing to do resolves to
   * `currentBatch`. After a rejection other than `VARVE_POISONED` nothing of the session is
   * visible, now or after reopening, and its grains are free again. Rejects with `VARVE_IO` (the
   * disk refused), `VARVE_POISONED` (with the disk's error as `cause`, when it is this commit's
   * own sync that failed: not visible now, whether it survives is known after reopening),
   * `VARVE_CLOSED`, `VARVE_SESSION_ENDED`, `VARVE_NOT_FOUND` (the embedded header has been freed
   * meanwhile).
   */
  async commit(): Promise<BatchId> {
    if (this.#work.state !== 'open') throw this.#ended();
    const { core, committer } = this.#home;
    this.#end('committing');
    try {
      core.checkWritable();
    } catch (error) {
      this.#work.giveUp();
      throw error;
    }
    if (this.#work.isEmpty) {
      this.#work.done();
      return core.published.currentBatch;
    }
    return await committer.commit(this.#work);
  }

  /**
   * As `commit`, on the calling thread: the quickest way for one writer, at the price of blocking
   * the event loop for one sync. Throws `VARVE_BUSY`, with the session still open, while another
   * session's commit is queued or under way.
   */
  commitSync(): BatchId {
    if (this.#work.state !== 'open') throw this.#ended();
    const { core, committer } = this.#home;
    if (committer.busy) {
      throw new VarveError('VARVE_BUSY', 'another commit is queued or under way');
    }
    this.#end('committing');
    try {
      core.checkWritable();
      if (!this.#work.isEmpty) return committer.commitSync(this.#work);
      this.#work.done();
      return core.published.currentBatch;
    } catch (error) {
      if (!this.#work.hasEnded) this.#work.giveUp();
      throw error;
    }
  }

  #end(state: 'committing' | 'ended'): void {
    this.#work.state = state;
    this.#home.open.delete(this.#work, this);
  }

  /** Gives the reserved grains back (once writes under way to them have returned). */
  abandon(): void {
    if (this.#work.state !== 'open') return;
    this.#end('ended');
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
  return corrupt(`a value says it has ${length} bytes, its grains do not`, { offset });
}

/** Throws `VARVE_INVALID_ARGUMENT` for what is no bigint. */
export function checkId(what: string, id: unknown): void {
  if (typeof id !== 'bigint') throw invalidArgument(what, 'a GrainId', id);
}

/**
 * The bytes of a value, none of which change while the thread goes on. Throws
 * `VARVE_INVALID_ARGUMENT`, `VARVE_TOO_LARGE`.
 */
export function checkData(what: string, data: unknown): Uint8Array {
  if (!isBytes(data)) throw invalidArgument(what, 'a Uint8Array that has its bytes', data);
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
