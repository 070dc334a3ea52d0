/**
 * One value as a `ReadableStream` of chunks.
 *
 * Invariants:
 * - One chunk is read ahead, so that reading and the consumer's work overlap. Memory is bounded by
 *   the chunks, whatever the length of the value.
 * - Each chunk is new memory, which belongs to the consumer.
 * - The CRC of a whole value is compared before its last chunk is handed out: a damaged value never
 *   ends well.
 * - What holds the value ends with the stream: when its last chunk has been taken, when it is
 *   cancelled, aborted or fails, or when it is collected. Nothing here refers to the stream while
 *   no read is in flight.
 */

import { invalidArgument } from '../../errors.ts';
import { valueCrcStart } from '../../format/value.ts';
import { onAbort } from '../../util/abort-listeners.ts';
import { checkNames, checkSignal, type NamesOf } from '../../util/options.ts';
import type { ByteRange, ValuePlace, ValueReader } from '../values/value-reader.ts';

type Bytes = Uint8Array<ArrayBuffer>;

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

/** The stream of a value, which it releases when it ends. */
export function valueStream(
  values: ValueReader,
  value: StreamedValue,
  plan: StreamPlan,
): ReadableStream<Bytes> {
  const chunks = new ValueChunks(values, value, plan);
  const stream = new ReadableStream<Bytes>({
    start: (controller) => chunks.begin(controller),
    pull: (controller) => chunks.pull(controller),
    cancel: () => chunks.release(),
  });
  collected.register(stream, chunks, chunks);
  return stream;
}

/** The chunks of a stream, and what it holds until its end. */
class ValueChunks {
  readonly #values: ValueReader;
  readonly #value: StreamedValue;
  readonly #plan: StreamPlan;
  #known: KnownValue | undefined;
  /** The next byte of the value. */
  #at: number;
  /** CRC of the value's bytes up to `#at`, if all of it is read. */
  #crc = 0;
  #isReleased = false;
  #stopAborts: (() => void) | undefined;

  constructor(values: ValueReader, value: StreamedValue, plan: StreamPlan) {
    this.#values = values;
    this.#value = value;
    this.#plan = plan;
    this.#at = plan.start;
  }

  begin(controller: ReadableStreamDefaultController<Bytes>): void {
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

  /** Reads the next chunk ahead, or ends the stream once its last chunk has been taken. */
  async pull(controller: ReadableStreamDefaultController<Bytes>): Promise<void> {
    try {
      const chunk = await this.#next();
      if (this.#isReleased) return;
      if (chunk !== undefined) {
        controller.enqueue(chunk);
        return;
      }
    } catch (error) {
      // After a cancel or an abort this read has no reader.
      if (this.#isReleased) return;
      this.release();
      throw error;
    }
    this.release();
    controller.close();
  }

  /** Reads a chunk; undefined at the end. */
  async #next(): Promise<Bytes | undefined> {
    const values = this.#values;
    this.#known ??= await this.#find();
    const { place, end, crc } = this.#known;
    const chunk = new Uint8Array(Math.max(0, Math.min(this.#plan.chunkBytes, end - this.#at)));
    if (chunk.length > 0) {
      const before = { from: this.#at, crc: this.#crc };
      this.#crc = await this.#value.read((now) => values.fillAsync(chunk, now, before));
      this.#at += chunk.length;
    }
    if (this.#at >= end && crc !== undefined) values.checkCrc(place, crc, this.#crc);
    return chunk.length > 0 ? chunk : undefined;
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
