/**
 * The outcome of a read beside a writer, and of its proof.
 *
 * Invariant: damage is an outcome, and so is a value that is not there. Any other error is thrown.
 * It reads and judges nothing (`proven-reads.ts` does).
 */

import { isVarveError, type VarveError } from '../../errors.ts';
import type { GrainMap } from '../grains/grain-map.ts';

/** The grain that an id names, in the marks as read. */
export interface Spot {
  readonly map: GrainMap;
  /** The batch of the marks; the page may be evicted and found as of a later one. */
  readonly stamp: number;
  readonly mark: number;
  /** Grains of the value that begins there; 0 if none does. */
  readonly count: number;
}

/** The outcome of a read: `result` if there is a value, or the damage. */
export interface Attempt<Result> {
  /** Undefined if the marks could not be read. */
  readonly spot: Spot | undefined;
  readonly result: Result | undefined;
  readonly damage: VarveError | undefined;
}

/**
 * The result of a proof at the end of the log:
 * - `holds`: the read is of this batch;
 * - `absent`: there was no such value;
 * - `gone`: the writer has freed it, or may have;
 * - `replaced`: the writer has replaced the marks during the read.
 */
export type Verdict = 'holds' | 'absent' | 'gone' | 'replaced';

/** The damage that a read has met. Throws any other error. */
export function damageOf(error: unknown): VarveError {
  if (isVarveError(error, 'VARVE_CORRUPT')) return error;
  throw error;
}
