/**
 * Assertions about varve's own state.
 *
 * A failed one is a defect in varve and throws `VARVE_INTERNAL`. It is not for what a caller
 * passes (`VARVE_INVALID_ARGUMENT`) nor for what a disk gives back (`VARVE_CORRUPT`).
 */

import { internal } from '../errors.ts';

/** Throws `VARVE_INTERNAL` unless `condition` holds. */
export function assert(condition: boolean, message: string): asserts condition {
  if (!condition) throw internal(message);
}

/** `value`, which must be there: for what a neighbouring line has just made sure of. */
export function present<T>(value: T | undefined, what: string): T {
  if (value === undefined) throw internal(`${what} is missing`);
  return value;
}
