/**
 * Assertions about varve's own state.
 *
 * A failed assertion is a defect in varve and throws `VARVE_INTERNAL`. Wrong arguments are
 * `VARVE_INVALID_ARGUMENT` instead, and wrong bytes on the disk are `VARVE_CORRUPT`.
 */

import { internal } from '../errors.ts';

/** Throws `VARVE_INTERNAL` unless `condition` holds. */
export function assert(condition: boolean, message: string): asserts condition {
  if (!condition) throw internal(message);
}

/** Returns `value`, which must not be undefined: for facts that the code nearby has ensured. */
export function present<T>(value: T | undefined, what: string): T {
  if (value === undefined) throw internal(`${what} is missing`);
  return value;
}
