/**
 * The bytes of a pushed stream, as their user gives them: a `ReadableStream` or any other
 * `AsyncIterable`.
 *
 * Rule: the source is code of the user's. Reading a property of it, or calling it, may throw, and
 * that error is the source's own. Its promises may stay pending for ever: nothing here waits for a
 * cancel. This file checks no chunk and counts no bytes.
 */

import { invalidArgument } from '../../errors.ts';
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
