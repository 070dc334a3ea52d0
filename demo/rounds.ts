/**
 * How the demo does many things at a time without holding many: rounds of several sessions' worth
 * of small files, and beside them the large files, one after the other.
 *
 * Invariant: at any time one round, at most `sessionsAtOnce` times a mebibyte, and one large file
 * are in memory. An error in one of the two ends the other at its next step, and is thrown.
 */

import type { FoundFile } from './found-files.ts';

/** Sessions that are filled side by side and commit together: they share a sync. */
export const sessionsAtOnce = 8;
/** A session takes files until it has this many, or this many bytes. */
const filesPerSession = 64;
const bytesPerSession = 1024 * 1024;
/** A file larger than this goes through `put`. */
const smallBytesMax = 256 * 1024;

interface Sized {
  readonly file: FoundFile;
}

/** What is done with the files. */
interface RoundWork<T extends Sized> {
  /** A round of small files: the share of each session. */
  round(shares: readonly (readonly T[])[]): Promise<void>;
  /** One large file. */
  large(item: T): Promise<void>;
}

/** Sees to every item once. */
export async function runRounds<T extends Sized>(
  items: readonly T[],
  work: RoundWork<T>,
): Promise<void> {
  const small = items.filter(({ file }) => file.bytes <= smallBytesMax);
  const large = items.filter(({ file }) => file.bytes > smallBytesMax);
  let failed = false;
  const inTurn = async <U>(list: Iterable<U>, step: (one: U) => Promise<void>): Promise<void> => {
    for (const one of list) {
      if (failed) return;
      try {
        await step(one);
      } catch (error) {
        failed = true;
        throw error;
      }
    }
  };
  const outcomes = await Promise.allSettled([
    inTurn(roundsOf(small), work.round),
    inTurn(large, work.large),
  ]);
  for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason;
}

function* roundsOf<T extends Sized>(items: readonly T[]): Generator<readonly (readonly T[])[]> {
  let round: (readonly T[])[] = [];
  for (const share of sharesOf(items)) {
    round.push(share);
    if (round.length < sessionsAtOnce) continue;
    yield round;
    round = [];
  }
  if (round.length > 0) yield round;
}

function* sharesOf<T extends Sized>(items: readonly T[]): Generator<readonly T[]> {
  let share: T[] = [];
  let bytes = 0;
  for (const item of items) {
    if (share.length === filesPerSession || bytes + item.file.bytes > bytesPerSession) {
      yield share;
      share = [];
      bytes = 0;
    }
    share.push(item);
    bytes += item.file.bytes;
  }
  if (share.length > 0) yield share;
}
