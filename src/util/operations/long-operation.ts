/**
 * The options that all long operations take, and their check.
 *
 * Invariant: checked options are of the right types, before anything is done. The names of the
 * options are checked by the operation, which may have more of them (`util/options.ts`).
 */

import { invalidArgument } from '../../errors.ts';
import { checkSignal, type NamesOf } from '../options.ts';

/** How far a long operation is. */
export interface Progress {
  /** The part of the work that is under way. */
  readonly phase: string;
  readonly done: number;
  /** Undefined while unknown. */
  readonly total: number | undefined;
  readonly unit: 'bytes' | 'values' | 'nodes';
}

export interface LongOperation {
  /** Rejects with the signal's reason. Work already done stays done. */
  signal?: AbortSignal | undefined;
  /**
   * Called before the first piece of work and then at most every 100 ms. If it throws, the
   * operation rejects with that error.
   */
  onProgress?: ((progress: Progress) => void) | undefined;
  /** Limits the disk bandwidth used, read and written bytes together. Default: unlimited. */
  bytesPerSecond?: number | undefined;
}

/** The names of these options, for `checkNames`. */
export const longOperationNames: NamesOf<LongOperation> = {
  signal: true,
  onProgress: true,
  bytesPerSecond: true,
};

/** `LongOperation`, checked. */
export interface CheckedOperation {
  readonly signal: AbortSignal | undefined;
  readonly onProgress: ((progress: Progress) => void) | undefined;
  /** `Infinity`: unlimited. */
  readonly bytesPerSecond: number;
}

/** Throws `VARVE_INVALID_ARGUMENT`. */
export function checkOperation({
  signal,
  onProgress,
  bytesPerSecond = Number.POSITIVE_INFINITY,
}: LongOperation): CheckedOperation {
  if (onProgress !== undefined && typeof onProgress !== 'function') {
    throw invalidArgument('onProgress', 'a function', onProgress);
  }
  if (typeof bytesPerSecond !== 'number' || !(bytesPerSecond > 0)) {
    throw invalidArgument('bytesPerSecond', 'a number above 0', bytesPerSecond);
  }
  return { signal: checkSignal(signal), onProgress, bytesPerSecond };
}
