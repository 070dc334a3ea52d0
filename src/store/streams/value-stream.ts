/**
 * One value as a byte stream (`ReadableStream` with `type: 'bytes'`).
 *
 * Invariants:
 * - Once a consumer has asked, one chunk is read ahead, so that reading and its work overlap.
 *   Memory is bounded by two chunks, whatever the length of the value.
 * - A consumer with memory of its own (BYOB) gets bytes copied into it, from memory that is used
 *   again. Any other gets chunks of new memory, which belong to it: V8 frees those that it is done
 *   with only when they are 32 MiB.
 * - The CRC of a whole value is compared before its last chunk is handed out: a damaged value never
 *   ends well, and the consumer does not have all of its bytes.
 * - What holds the value ends with the stream: when its last chunk has been taken, when it is
 *   cancelled, aborted or fails, or when it is collected. Nothing here refers to the stream while
 *   no consumer waits.
 */

import { invalidArgument } from '../../errors.ts';
import { valueCrcStart } from '../../format/value.ts';
import { onAbort } from '../../util/abort-listeners.ts';
import { unclearedBytes } from '../../util/bytes.ts';
import { checkNames, checkSignal, type NamesOf } from '../../util/options.ts';
import { type ByteRange, checkCrc, type ValuePlace } from '../values/value-place.ts';
import type { ValueReader } from '../values/value-reader.ts';

type Bytes = Uint8Array<ArrayBuffer>;

const nothing: Bytes = new Uint8Array(0);

export interface ReadStreamOptions {
  /** First byte. Default 0. */
  start?: number | undefined;
  /** The byte after the last one; clipped to the value's length, which is the default. */
  end?: number | undefined;
  /** Bytes of a chunk; the last one may be shorter. Default 256 KiB. */
  chunkBytes?: number | undefined;
  /** Errors the stream with its reason. */
  signal?: AbortSignal | undefined;
}

/** A value as a stream reads it. */
export interface StreamedValue {
  /**
   * The result of `read` for the value's place; it may be called again if that was replaced
   * meanwhile. Rejects if the value is gone, and as `read`.
   */
  read<Result>(read: (place: ValuePlace) => Promise<Result>): Promise<Result>;
  /** The value is no longer needed. Idempotent. */
  release(): void;
}

/** Checked options of a stream. */
export interface StreamPlan extends ByteRange {
  readonly chunkBytes: number;
  readonly signal: AbortSignal | undefined;
}

const chunkBytesDefault = 256 * 1024;
const names: NamesOf<ReadStreamOptions> = {
  start: true,
  end: true,
  chunkBytes: true,
  signal: true,
};

/** Throws `VARVE_INVALID_ARGUMENT` for bounds that are no whole numbers from 0. */
export function checkRange(what: string, start: unknown, end: unknown): ByteRange {
  return { start: checkBound(`${what}: start`, start), end: checkBound(`${what}: end`, end) };
}

function checkBound(what: string, bound: unknown): number {
  if (Number.isSafeInteger(bound) && (bound as number) >= 0) return bound as number;
  throw invalidArgument(what, 'a whole number of bytes from 0', bound);
}

/** Throws `VARVE_INVALID_ARGUMENT`. */
export function checkStreamOptions(what: string, options: ReadStreamOptions): StreamPlan {
  checkNames(what, options, names);
  const { start = 0, end = Number.MAX_SAFE_INTEGER, chunkBytes = chunkBytesDefault } = options;
  const range = checkRange(what, start, end);
  if (!Number.isSafeInteger(chunkBytes) || chunkBytes < 1) {
    throw invalidArgument(`${what}: chunkBytes`, 'a whole number of bytes from 1', chunkBytes);
  }
  return { ...range, chunkBytes, signal: checkSignal(options.signal) };
}

/** Streams that were collected before their end. */
const collected = new FinalizationRegistry<ValueChunks>((chunks) => chunks.release());

type Controller = ReadableByteStreamController;

/** The stream of a value, which it releases when it ends. */
export function valueStream(
  values: ValueReader,
  value: StreamedValue,
  plan: StreamPlan,
): ReadableStream<Bytes> {
  const chunks = new ValueChunks(values, value, plan);
  const stream = new ReadableStream({
    type: 'bytes',
    start: (controller: Controller) => chunks.begin(controller),
    pull: (controller: Controller) => chunks.pull(controller),
    cancel: () => chunks.release(),
  });
  collected.register(stream, chunks, chunks);
  return stream as ReadableStream<Bytes>;
}

/** The chunks of a stream, and what it holds until its end. */
class ValueChunks {
  readonly #values: ValueReader;
  readonly #value: StreamedValue;
  readonly #plan: StreamPlan;
  #known: KnownValue | undefined;
  /** The next byte of the value to be read. */
  #at: number;
  /** CRC of the value's bytes up to `#at`, if all of it is read. */
  #crc = 0;
  /** The next chunk, which is being read or has been. */
  #ahead: Promise<Bytes> | undefined;
  /** Bytes that are read and not handed out. */
  #chunk: Bytes = nothing;
  /** Memory of a chunk whose bytes were copied to the consumer's. */
  #spare: Bytes = nothing;
  #isReleased = false;
  #stopAborts: (() => void) | undefined;

  constructor(values: ValueReader, value: StreamedValue, plan: StreamPlan) {
    this.#values = values;
    this.#value = value;
    this.#plan = plan;
    this.#at = plan.start;
  }

  begin(controller: Controller): void {
    const { signal } = this.#plan;
    if (signal === undefined) return;
    // The signal may outlive the stream.
    const weak = new WeakRef(controller);
    const abort = (): void => {
      this.release();
      weak.deref()?.error(signal.reason);
    };
    if (signal.aborted) abort();
    else this.#stopAborts = onAbort(signal, abort);
  }

  /** The consumer wants bytes. */
  async pull(controller: Controller): Promise<void> {
    try {
      if (this.#chunk.length === 0) this.#chunk = await this.#take();
      // After a cancel or an abort this read has no reader.
      if (this.#isReleased) return;
      this.#handOut(controller);
    } catch (error) {
      if (this.#isReleased) return;
      this.release();
      throw error;
    }
  }

  /** The next chunk; begins to read the one after it. */
  async #take(): Promise<Bytes> {
    const chunk = await (this.#ahead ?? this.#next());
    this.#ahead = undefined;
    if (this.#isReleased || this.#isRead) return chunk;
    this.#ahead = this.#next();
    // Awaited later: an error in between has a handler.
    this.#ahead.catch(() => undefined);
    return chunk;
  }

  /** All bytes of the range have been read. */
  get #isRead(): boolean {
    return this.#known !== undefined && this.#at >= this.#known.end;
  }

  /** Copies bytes to the memory that the consumer gives, or gives it the chunk. */
  #handOut(controller: Controller): void {
    const chunk = this.#chunk;
    const request = controller.byobRequest;
    if (chunk.length > 0 && request?.view) {
      const { buffer, byteOffset, byteLength } = request.view;
      const count = Math.min(byteLength, chunk.length);
      new Uint8Array(buffer, byteOffset).set(chunk.subarray(0, count));
      this.#chunk = chunk.subarray(count);
      if (count === chunk.length) this.#spare = new Uint8Array(chunk.buffer);
      request.respond(count);
    } else if (chunk.length > 0) {
      this.#chunk = nothing;
      controller.enqueue(chunk);
    }
    if (this.#chunk.length > 0 || this.#ahead !== undefined) return;
    this.release();
    controller.close();
    // A consumer that waits with memory of its own learns of the end only by this.
    controller.byobRequest?.respond(0);
  }

  /** Reads a chunk; no bytes at the end. */
  async #next(): Promise<Bytes> {
    const values = this.#values;
    this.#known ??= await this.#find();
    const { place, end, crc } = this.#known;
    const chunk = this.#memory(Math.max(0, Math.min(this.#plan.chunkBytes, end - this.#at)));
    if (chunk.length > 0) {
      const before = { from: this.#at, crc: this.#crc };
      this.#at += chunk.length;
      this.#crc = await this.#value.read((now) => values.fillAsync(chunk, now, before));
    }
    if (this.#isRead && crc !== undefined) checkCrc(place, crc, this.#crc);
    return chunk;
  }

  #memory(length: number): Bytes {
    const spare = this.#spare;
    if (spare.length < length) return unclearedBytes(length);
    this.#spare = nothing;
    return spare.subarray(0, length);
  }

  async #find(): Promise<KnownValue> {
    const { start, end } = this.#plan;
    return await this.#value.read(async (place) => {
      const { length, crc } = await this.#values.prefixAsync(place);
      if (start > 0 || end < length) return { place, end: Math.min(end, length), crc: undefined };
      this.#crc = valueCrcStart(place.id, length);
      return { place, end: length, crc };
    });
  }

  /** Gives up what the stream holds. Idempotent. */
  release(): void {
    this.#isReleased = true;
    this.#stopAborts?.();
    this.#value.release();
    collected.unregister(this);
  }
}

/** The value of a stream, after its prefix was read. */
interface KnownValue {
  readonly place: ValuePlace;
  /** The byte after the last one of the range. */
  readonly end: number;
  /** CRC in the prefix, if the range is the whole value. */
  readonly crc: number | undefined;
}
