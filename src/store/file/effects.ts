/**
 * Deciding apart from doing: a part of the protocol is a generator that yields effects on the file.
 * One of two performers carries them out: on the calling thread, or without blocking. Long work in
 * memory yields pauses, in which the second performer gives the event loop its turns.
 *
 * Invariant: an effect is complete when the generator goes on, and its error is thrown at its
 * yield: a step that follows another in the code follows it on the disk.
 */

import type { StorageFile } from '../../io/file-system.ts';
import { assert } from '../../util/assert.ts';
import { Breather } from '../../util/breather.ts';

/** Consecutive chunks at a byte offset of the file. */
export interface FileWrite {
  readonly offset: number;
  readonly chunks: readonly Uint8Array[];
  /**
   * Write on the calling thread, however long it is: nothing else may run before it has returned.
   */
  readonly blocking?: boolean;
}

export type Effect =
  | ({ readonly kind: 'write' } & FileWrite)
  | { readonly kind: 'truncate'; readonly length: number }
  | { readonly kind: 'datasync' }
  | { readonly kind: 'pause' };

/** A piece of protocol: yields effects, ends with a result. */
export type Steps<T> = Generator<Effect, T, void>;

export const datasync: Effect = { kind: 'datasync' };

/**
 * Yield this every few steps of long work in memory. Other code may run then: do not rely on state
 * that it can change.
 */
export const pause: Effect = { kind: 'pause' };

/** Values, or other small work items, between two pauses. */
export const stepsPerPause = 32;

/** A write up to this length is faster on the calling thread than on a thread of the pool. */
const synchronousBytesMax = 256 * 1024;

export function writeBytes(write: FileWrite): number {
  let bytes = 0;
  for (const chunk of write.chunks) bytes += chunk.length;
  return bytes;
}

/** True for a write of `bytes` bytes that both performers make on the calling thread. */
export function isWrittenNow(write: FileWrite, bytes: number): boolean {
  return bytes <= synchronousBytesMax || write.blocking === true;
}

/** End of the last write in the file; 0 without writes. */
export function endOfWrites(writes: Iterable<FileWrite>): number {
  let end = 0;
  for (const write of writes) end = Math.max(end, write.offset + writeBytes(write));
  return end;
}

/** Performs every effect on the calling thread; without a file, the steps only pause. */
export function performSync<T>(file: StorageFile | undefined, steps: Steps<T>): T {
  let step = steps.next();
  while (step.done !== true) {
    try {
      doSync(file, step.value);
    } catch (error) {
      step = steps.throw(error);
      continue;
    }
    step = steps.next();
  }
  return step.value;
}

/** Performs one write on the calling thread: a small one, which both performers do in this way. */
export function writeNow(file: StorageFile, chunks: readonly Uint8Array[], offset: number): void {
  file.writeSync(chunks, offset);
}

/** Runs steps that only pause, in one go. */
export function inOneGo<T>(steps: Steps<T>): T {
  return performSync(undefined, steps);
}

/** Runs steps that only pause; the event loop gets its turns when `breather` says so. */
export function inTurns<T>(steps: Steps<T>, breather: Breather): Promise<T> {
  return perform(undefined, steps, breather);
}

function doSync(file: StorageFile | undefined, effect: Effect): void {
  if (effect.kind === 'pause') return;
  assert(file !== undefined, 'steps in memory only pause');
  if (effect.kind === 'write') writeNow(file, effect.chunks, effect.offset);
  else if (effect.kind === 'truncate') file.truncateSync(effect.length);
  else file.datasyncSync();
}

/**
 * Performs small writes on the calling thread; syncs and large writes without blocking it. At
 * pauses the event loop gets a turn when the breather says so: after some milliseconds of work.
 */
export async function perform<T>(
  file: StorageFile | undefined,
  steps: Steps<T>,
  given?: Breather,
): Promise<T> {
  let breather = given;
  let step = steps.next();
  while (step.done !== true) {
    const effect = step.value;
    try {
      if (effect.kind === 'pause') {
        breather ??= new Breather();
        if (breather.due) await breather.turn();
      } else if (file !== undefined && effect.kind === 'datasync') await file.datasync();
      else if (file !== undefined && isLong(effect)) await file.write(effect.chunks, effect.offset);
      else doSync(file, effect);
    } catch (error) {
      step = steps.throw(error);
      continue;
    }
    step = steps.next();
  }
  return step.value;
}

function isLong(effect: Effect): effect is Effect & { kind: 'write' } {
  return effect.kind === 'write' && !isWrittenNow(effect, writeBytes(effect));
}
