/**
 * Assertions about varve's own state.
 *
 * A failed assertion is a defect in varve and throws `VARVE_INTERNAL`. Wrong arguments are
 * `VARVE_INVALID_ARGUMENT` instead, and wrong bytes on the disk are `VARVE_CORRUPT`.
 *
 * Assertions that take time in proportion to a structure run only if `checks.strict` is true. Tests
 * set it, except those of made-up files and of the built package. It is never set for users: no
 * option or environment variable sets it.
 */

import { internal } from '../errors.ts';

/** Set by the tests before they open anything. */
export const checks = { strict: false };

/** Throws `VARVE_INTERNAL` unless `condition` holds. */
export function assert(condition: boolean, message: string): asserts condition {
  if (!condition) throw internal(message);
}

/** Returns `value`, which must not be undefined: for facts that the code nearby has ensured. */
export function present<T>(value: T | undefined, what: string): T {
  if (value === undefined) throw internal(`${what} is missing`);
  return value;
}

/** Throws `VARVE_INTERNAL` unless a count is what was found when it was counted again. */
export function assertCount(what: string, counted: number, found: number): void {
  if (counted !== found) throw internal(`${what}: ${counted} are counted, ${found} are there`);
}
