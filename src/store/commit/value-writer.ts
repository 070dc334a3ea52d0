/**
 * Writes values to their grains: those of a batch before its record is written, those of an open
 * session ahead of its commit, and single large ones piece by piece, without blocking the event
 * loop. It also says which batches write none, since their record carries the values.
 *
 * Invariants:
 * - The grains are reserved. The bytes count only when a commit names them.
 * - Adjoining values of a batch are one write, even if they are from different sessions. If the
 *   disk refuses a write, all are written again session by session: each session fails only for its
 *   own values.
 *
 * It syncs nothing, rejects no session, and gives no grains back.
 */

import { invalidArgument, ioError } from '../../errors.ts';
import type { GrainIdParts } from '../../format/grain-id.ts';
import { pageBytes, valuePrefixBytes } from '../../format/layout.ts';
import type { GrainRun } from '../../format/log-record.ts';
import { encodeValuePrefix, valueCrc, valueCrcStart } from '../../format/value.ts';
import { assert } from '../../util/assert.ts';
import { crc32 } from '../../util/crc.ts';
import { endOfWrites, type FileWrite, pause, type Steps, stepsPerPause } from '../file/effects.ts';
import { endOf, type FilePart, partsWithin, writesTo } from '../file/file-parts.ts';
import type { Reservation } from '../grains/atlas.ts';
import type { GrainMap } from '../grains/grain-map.ts';
import type { StoreCore } from '../state/core.ts';
import { MergedWrites } from '../values/merged-writes.ts';
import type { BatchPlan } from './commit-plan.ts';
import type { SessionWork, StagedValue } from './session-work.ts';

/**
 * A batch larger than this makes the file longer and fills no space ahead: writing zeros first
 * costs more than the device's second flush that they save.
 */
const smallBatchBytes = 64 * 1024;

/**
 * Bytes of one write of a large value; their CRC is computed during it: half a millisecond of the
 * thread's time.
 */
const pieceBytes = 2 * 1024 * 1024;

const none: ReadonlyMap<SessionWork, Error> = new Map();

function valueBytes(works: Iterable<SessionWork>): number {
  let bytes = 0;
  for (const { pushedBytes } of works) bytes += pushedBytes;
  return bytes;
}

/** True for a batch with zeros written ahead: of these sessions, with a record of this body. */
export function isSmallBatch({ works, body }: Pick<BatchPlan, 'works' | 'body'>): boolean {
  return valueBytes(works) + body.length <= smallBatchBytes;
}

// ── a batch ──

/**
 * If values lie at `scatteredFrom` places or more, their record carries up to `scatteredTimes` as
 * many bytes as otherwise.
 */
const scatteredTimes = 5;
const scatteredFrom = 3;
/** A record that carries values has up to this many operations. */
const carriedOperationsMax = 256;

/**
 * True if the record of this batch should carry its values. False if a later write of one of them
 * to its grains could be refused.
 */
export function recordCarries(core: StoreCore, works: readonly SessionWork[]): boolean {
  const { carriedBytes } = core;
  if (core.space.tight) return false;
  let bytes = 0;
  let operations = 0;
  let places = 0;
  let end = -1;
  for (const work of works) {
    if (work.stagedBytes !== work.pushedBytes) return false;
    bytes += work.pushedBytes;
    operations += work.operations.length;
    if (bytes > carriedBytes * scatteredTimes || operations > carriedOperationsMax) return false;
    for (const value of work.operations) {
      if (value.operation === 'archive') continue;
      const map = value.home.mapOf(value.index);
      if (!isBacked(core, map, value)) return false;
      const offset = map.grainOffset(value.index);
      if (offset !== end) places += 1;
      end = offset + (value.count << map.grainExp);
    }
  }
  return bytes > 0 && (bytes <= carriedBytes || places >= scatteredFrom);
}

/**
 * True if the grains are in one piece of the file, and a later write of them cannot be refused for
 * lack of space.
 */
export function isBacked(
  { writer }: StoreCore,
  map: GrainMap,
  { index, count }: GrainRun,
): boolean {
  if (map.spread) return false;
  const offset = map.grainOffset(index);
  const endPage = Math.ceil((offset + (count << map.grainExp)) / pageBytes);
  return writer.known.has(Math.floor(offset / pageBytes), endPage);
}

/** Writes all values; returns the sessions whose values the disk refuses, with the errors. */
export function* writeValues(
  core: StoreCore,
  works: readonly SessionWork[],
): Steps<ReadonlyMap<SessionWork, Error>> {
  const merged = new MergedWrites();
  let steps = 0;
  for (const work of works) {
    for (const value of work.operations) {
      if (++steps % stepsPerPause === 0) yield pause;
      if (value.operation === 'allocate') merged.add(value);
    }
  }
  const writes = yield* merged.writesInSteps();
  if (valueBytes(works) > smallBatchBytes) yield* core.writer.lengthen(endOfWrites(writes));
  for (const write of writes) {
    if (++steps % stepsPerPause === 0) yield pause;
    try {
      yield* core.writer.write(write);
    } catch {
      return yield* writeAlone(core, works);
    }
  }
  return none;
}

/** Writes all values again, session by session. */
function* writeAlone(
  core: StoreCore,
  works: readonly SessionWork[],
): Steps<ReadonlyMap<SessionWork, Error>> {
  const refused = new Map<SessionWork, Error>();
  for (const work of works) {
    for (const write of work.pendingWrites()) {
      try {
        yield* core.writer.write(write);
      } catch (error) {
        refused.set(work, ioError('writing a value', core.path, error));
        yield* learnPages(core, write);
      }
    }
  }
  return refused;
}

/** Writes; after a refusal the next value is placed where the disk has room, if it has any. */
function* writeLarge(core: StoreCore, write: FileWrite): Steps<void> {
  try {
    yield* core.writer.write(write);
  } catch (error) {
    yield* learnPages(core, write);
    throw error;
  }
}

/**
 * Repeats a refused write page by page on a full disk, so that the space learns which pages the
 * disk refuses: the others stay free for values.
 */
function* learnPages(core: StoreCore, write: FileWrite): Steps<void> {
  if (!core.space.tight) return;
  for (const piece of pagesOf(write)) {
    try {
      yield* core.writer.write(piece);
    } catch {
      // The session has been refused already.
    }
  }
}

/** Divides the write into pieces that end at page ends of the file. */
function pagesOf({ offset, chunks }: FileWrite): FileWrite[] {
  const pieces: FileWrite[] = [];
  let at = offset;
  for (const chunk of chunks) {
    for (let from = 0; from < chunk.length; ) {
      const bytes = Math.min(chunk.length - from, pageBytes - (at % pageBytes));
      pieces.push({ offset: at, chunks: [chunk.subarray(from, from + bytes)] });
      at += bytes;
      from += bytes;
    }
  }
  return pieces;
}

// ── ahead of the commit ──

/** Writes all that the session has staged, and releases its memory. */
export function writeAhead(core: StoreCore, work: SessionWork): void {
  writeNow(core, work, work.pendingWrites());
  work.forgetBytes();
}

/** Writes a value of the session from the caller's memory. */
export function writeThrough(
  core: StoreCore,
  work: SessionWork,
  place: Reservation,
  data: Uint8Array,
): StagedValue {
  const crc = valueCrc(idOf(place), data);
  writeNow(core, work, writesTo(partsOf(place, data.length), [prefixOf(data.length, crc), data]));
  return work.add(place, data.length, crc);
}

/** Writes on the calling thread. The session keeps the first error, and writes nothing after it. */
function writeNow(core: StoreCore, work: SessionWork, writes: readonly FileWrite[]): void {
  if (work.writeError !== undefined) return;
  try {
    core.writer.performSync(core.writer.lengthen(endOfWrites(writes)));
    for (const write of writes) core.writer.performSync(writeLarge(core, write));
  } catch (error) {
    work.failed(core.path, error);
  }
}

/**
 * As `writeAhead`, without blocking. What is pushed meanwhile is staged anew. Requires: a push of
 * the session is in flight until this resolves, so that nothing commits it.
 */
export async function writeAheadAsync(core: StoreCore, work: SessionWork): Promise<void> {
  const batch = work.beginWriteAhead();
  try {
    if (work.writeError === undefined) await core.writer.perform(writeStaged(core, batch.values));
  } catch (error) {
    work.failed(core.path, error);
  } finally {
    work.endWriteAhead(batch);
  }
}

function* writeStaged(core: StoreCore, values: Iterable<StagedValue>): Steps<void> {
  const merged = new MergedWrites();
  for (const value of values) merged.add(value);
  const writes = yield* merged.writesInSteps();
  yield* core.writer.lengthen(endOfWrites(writes));
  for (const write of writes) {
    yield pause;
    core.checkSound();
    yield* writeLarge(core, write);
  }
}

// ── one large value ──

/**
 * Writes one value to its reserved grains, piece by piece, without blocking and without a copy. The
 * prefix, with the CRC, is written last: until then the grains hold no whole value.
 */
export class PiecewiseValue {
  readonly #core: StoreCore;
  readonly #length: number;
  readonly #parts: readonly FilePart[];
  #crc: number;
  #written = 0;
  /** The piece that is being written, until its CRC is computed. */
  #undigested: Uint8Array | undefined;

  constructor(core: StoreCore, place: Reservation, length: number) {
    this.#core = core;
    this.#length = length;
    this.#parts = partsOf(place, length);
    this.#crc = valueCrcStart(idOf(place), length);
    // The file grows once for the whole value, not with each piece of it.
    core.writer.performSync(core.writer.lengthen(endOf(this.#parts)));
  }

  /**
   * Writes the next bytes of the value. Requires: the piece before is written; these bytes do not
   * change meanwhile. Rejects with `VARVE_IO`, `VARVE_POISONED`. Their CRC is computed by `digest`
   * during the write, or after it.
   */
  async write(piece: Uint8Array): Promise<void> {
    const core = this.#core;
    const within = partsWithin(this.#parts, valuePrefixBytes + this.#written, piece.length);
    const writing = core.writer.perform(writePart(core, piece, within));
    this.#undigested = piece;
    await writing;
    this.digest();
    this.#written += piece.length;
  }

  /** Computes the CRC of the piece that is being written, if that has not been done. */
  digest(): void {
    if (this.#undigested === undefined) return;
    this.#crc = crc32(this.#undigested, this.#crc);
    this.#undigested = undefined;
  }

  /** Writes the prefix, and returns the CRC. Throws `VARVE_IO`, `VARVE_POISONED`. */
  end(): number {
    const core = this.#core;
    assert(this.#written === this.#length, 'the prefix is written after all bytes of the value');
    const within = partsWithin(this.#parts, 0, valuePrefixBytes);
    core.writer.performSync(writePart(core, prefixOf(this.#length, this.#crc), within));
    return this.#crc;
  }
}

/** The method that writes a large value, and its check before each piece. */
export interface LargeWrite {
  readonly method: string;
  /** Throws if the value is no longer wanted. */
  readonly check?: () => void;
}

/**
 * Writes `data` to the reserved grains, and gives its CRC. Rejects with `VARVE_IO`,
 * `VARVE_POISONED`, and `VARVE_INVALID_ARGUMENT` if the caller has transferred the bytes.
 */
export async function writeLargeValue(
  core: StoreCore,
  place: Reservation,
  data: Uint8Array,
  { method, check }: LargeWrite,
): Promise<number> {
  const { length } = data;
  const value = new PiecewiseValue(core, place, length);
  for (let at = 0; at < length; at += pieceBytes) {
    check?.();
    // The caller has transferred or shortened the buffer during a write.
    if (data.length !== length) throw invalidArgument(method, 'bytes that stay in place', data);
    const writing = value.write(data.subarray(at, at + pieceBytes));
    value.digest();
    await writing;
  }
  check?.();
  return value.end();
}

function* writePart(core: StoreCore, bytes: Uint8Array, parts: Iterable<FilePart>): Steps<void> {
  for (const write of writesTo([...parts], [bytes])) {
    core.checkSound();
    try {
      yield* writeLarge(core, write);
    } catch (error) {
      throw ioError('writing a value', core.path, error);
    }
  }
}

function idOf({ stratum, index }: Reservation): GrainIdParts {
  return { basin: stratum.basin, stratum: stratum.number, index };
}

/** The parts of the file for a value of `length` bytes. */
function partsOf({ stratum, index }: Reservation, length: number): readonly FilePart[] {
  return stratum.partsOf(index, valuePrefixBytes + length);
}

function prefixOf(length: number, crc: number): Uint8Array {
  const prefix = new Uint8Array(valuePrefixBytes);
  encodeValuePrefix(prefix, length, crc);
  return prefix;
}
