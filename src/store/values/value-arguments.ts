/**
 * Checks of what callers give to name a value, or to be one: ids, bytes and lengths.
 *
 * Invariant: nothing has been changed when a check throws. Bytes that another thread could change
 * are copied. `what` is the method that was called.
 */

import { invalidArgument, VarveError } from '../../errors.ts';
import { valueBytesMax } from '../../format/layout.ts';
import { isBytes, ownedByThread } from '../../util/bytes.ts';

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
export function checkLength(what: string, length: unknown): asserts length is number {
  if (!Number.isSafeInteger(length) || (length as number) < 0) {
    throw invalidArgument(what, 'a whole number of bytes', length);
  }
  if ((length as number) <= valueBytesMax) return;
  const message = `${what}: a value has at most ${valueBytesMax} bytes, this one ${length}`;
  const facts = { expected: valueBytesMax, actual: length };
  throw new VarveError('VARVE_TOO_LARGE', message, facts);
}
