/**
 * The bytes of a pushed stream, as their user gives them: a `ReadableStream` or any other
 * `AsyncIterable`.
 *
 * Rule: the source is code of the user's. Reading a property of it, or calling it, may throw, and
 * that error is the source's own. Its promises may stay pending for ever: nothing here waits for a
 * cancel. This file counts no bytes.
 */

import { invalidArgument } from '../../errors.ts';
import { isBytes } from '../bytes.ts';
import { abandon, isThenable } from '../thenable.ts';

/** A source that is being read. */
export interface ByteSource {
  /** Asks for the next chunk. Requires: the chunk before has come. */
  next(): PromiseLike<unknown> | unknown;
  /** Nothing more is wanted, for this reason. Never throws. */
  cancel(reason: unknown): void;
  /** The source has ended by itself. Never throws. */
  ended(): void;
}

/** Reads the chunks of a source one after the other, and ends it once. */
export class ChunkReader {
  readonly #source: ByteSource;
  /** The method that was called. */
  readonly #method: string;
  /** The source has ended, failed or been cancelled. */
  #isOver = false;

  constructor(source: ByteSource, method: string) {
    this.#source = source;
    this.#method = method;
  }

  /**
   * The next chunk; undefined at the end of the source. Rejects with the source's own error, which
   * is its end, and with `VARVE_INVALID_ARGUMENT` for what is no chunk.
   */
  async next(): Promise<Uint8Array | undefined> {
    const result = await this.#asked();
    if (result.done === true) {
      this.#isOver = true;
      return undefined;
    }
    const { value } = result;
    if (!isBytes(value)) throw invalidArgument(this.#method, 'chunks that are Uint8Arrays', value);
    return value;
  }

  async #asked(): Promise<IteratorResult<unknown>> {
    try {
      const result = await this.#source.next();
      if (typeof result === 'object' && result !== null) return result as IteratorResult<unknown>;
    } catch (error) {
      this.#isOver = true;
      throw error;
    }
    const expected = 'a source that gives objects with done and value';
    throw invalidArgument(this.#method, expected, undefined);
  }

  /** Nothing more is wanted, for this reason: cancels a source that is not over. */
  cancel(reason: unknown): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#source.cancel(reason);
  }

  /** The source has ended by itself, and what it gave was right. */
  ended(): void {
    this.#source.ended();
  }
}

type Reader = ReadableStreamDefaultReader<Uint8Array>;

/** Begins to read. Throws `VARVE_INVALID_ARGUMENT` for no source, and the source's own error. */
export function readSource(what: string, source: unknown): ByteSource {
  const isObject = (typeof source === 'object' && source !== null) || typeof source === 'function';
  const given = (isObject ? source : {}) as Partial<ReadableStream & AsyncIterable<unknown>>;
  if (typeof given.getReader === 'function') {
    if (given.locked === true) throw invalidArgument(what, 'a stream without a reader', source);
    return ofReader(given.getReader());
  }
  const begin = given[Symbol.asyncIterator];
  if (typeof begin === 'function') return ofIterator(begin.call(given));
  throw invalidArgument(what, 'a ReadableStream or an AsyncIterable', source);
}

function ofReader(reader: Reader): ByteSource {
  return {
    next: () => reader.read(),
    cancel(reason) {
      quietly(() => reader.cancel(reason));
      quietly(() => reader.releaseLock());
    },
    ended: () => quietly(() => reader.releaseLock()),
  };
}

function ofIterator(iterator: AsyncIterator<unknown>): ByteSource {
  return {
    next: () => iterator.next(),
    cancel: () => quietly(() => iterator.return?.()),
    ended: () => undefined,
  };
}

/** Calls the source; the push ends with another error, or well, whatever comes of it. */
function quietly(call: () => unknown): void {
  try {
    const result = call();
    if (isThenable(result)) abandon(result);
  } catch {
    // See above.
  }
}
