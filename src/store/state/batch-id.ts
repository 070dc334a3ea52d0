/**
 * BatchId: the number of a durable commit.
 *
 * 1 is the first, each group commit is the next, 0 means none. A batch that failed, or that
 * recovery took back, was never durable: the next one gets its id.
 */

import { invalidArgument } from '../../errors.ts';

/** Names one durable commit: a safe integer from 1; 0 means none. */
export type BatchId = number;

/** Throws `VARVE_INVALID_ARGUMENT` for anything but a batch up to `current`. */
export function checkBatch(what: string, batch: unknown, current: BatchId): BatchId {
  if (typeof batch !== 'number' || !Number.isSafeInteger(batch) || batch < 0) {
    throw invalidArgument(what, 'a batch id (an integer from 0)', batch);
  }
  if (batch > current) throw invalidArgument(what, `a batch up to the current ${current}`, batch);
  return batch;
}
