/**
 * Writes the values of a batch to their grains, before its record is written.
 *
 * Invariant: adjoining values are one write, even if they are from different sessions. If the disk
 * refuses a write, all are written again session by session: each session fails only for its own
 * values. It syncs nothing and rejects no session.
 */

import { ioError } from '../../errors.ts';
import { pageBytes } from '../../format/layout.ts';
import { type FileWrite, pause, type Steps, stepsPerPause, writeBytes } from '../file/effects.ts';
import type { StoreCore } from '../state/core.ts';
import type { DurableWriter } from './durable-writer.ts';
import { MergedWrites } from './merged-writes.ts';
import type { SessionWork } from './session-work.ts';

/**
 * A batch larger than this makes the file longer and fills no space ahead: writing zeros first
 * costs more than the device's second flush that they save.
 */
export const smallBatchBytes = 64 * 1024;

const none: ReadonlyMap<SessionWork, Error> = new Map();

export class ValueWriter {
  readonly #core: StoreCore;
  readonly #writer: DurableWriter;

  constructor(core: StoreCore, writer: DurableWriter) {
    this.#core = core;
    this.#writer = writer;
  }

  /** Writes all values; returns the sessions whose values the disk refuses, with the errors. */
  *write(works: readonly SessionWork[]): Steps<ReadonlyMap<SessionWork, Error>> {
    const merged = new MergedWrites();
    let steps = 0;
    for (const work of works) {
      for (const value of work.operations) {
        if (++steps % stepsPerPause === 0) yield pause;
        if (value.operation === 'allocate') merged.add(value);
      }
    }
    const writes = merged.areFew ? merged.writes() : yield* merged.writesInSteps();
    if (valueBytes(works) > smallBatchBytes) yield* this.#lengthen(writes);
    for (const write of writes) {
      if (++steps % stepsPerPause === 0) yield pause;
      try {
        yield* this.#write(write);
      } catch {
        this.#core.values.cache.forget(write.offset, writeBytes(write));
        return yield* this.#writeAlone(works);
      }
    }
    return none;
  }

  *#write(write: FileWrite): Steps<void> {
    this.#core.space.reach(Math.ceil((write.offset + writeBytes(write)) / pageBytes));
    yield* this.#writer.write(write);
    this.#core.values.cache.written(write.chunks, write.offset);
  }

  /**
   * If a large batch writes beyond the file's end, the file grows once, with room for later
   * batches.
   */
  *#lengthen(writes: readonly FileWrite[]): Steps<void> {
    let end = 0;
    for (const write of writes) end = Math.max(end, write.offset + writeBytes(write));
    try {
      const length = this.#core.lengthFor(end);
      if (length !== undefined) yield { kind: 'truncate', length };
    } catch {
      // The writes themselves make the file longer: a failure here only costs speed.
    }
  }

  /** Writes all values again, session by session. */
  *#writeAlone(works: readonly SessionWork[]): Steps<ReadonlyMap<SessionWork, Error>> {
    const refused = new Map<SessionWork, Error>();
    for (const work of works) {
      for (const write of work.pendingWrites()) {
        try {
          yield* this.#write(write);
        } catch (error) {
          refused.set(work, ioError('writing a value', this.#core.path, error));
          if (this.#core.space.tight) yield* this.#writeByPage(write);
        }
      }
    }
    return refused;
  }

  /**
   * Repeats a refused write page by page, so that the space learns which pages the disk refuses.
   */
  *#writeByPage(write: FileWrite): Steps<void> {
    for (const piece of pagesOf(write)) {
      try {
        yield* this.#writer.write(piece);
      } catch {
        // The session has been refused already.
      }
    }
    this.#core.values.cache.forget(write.offset, writeBytes(write));
  }
}

/** Divides the write into pieces that end at page ends of the file. */
function pagesOf({ offset, chunks }: FileWrite): FileWrite[] {
  const pieces: FileWrite[] = [];
  let at = offset;
  for (const chunk of chunks) {
    for (let from = 0; from < chunk.length; ) {
      const bytes = Math.min(chunk.length - from, pageBytes - (at % pageBytes));
      pieces.push({ offset: at, chunks: [chunk.subarray(from, from + bytes)] });
      at += bytes;
      from += bytes;
    }
  }
  return pieces;
}

export function valueBytes(works: Iterable<SessionWork>): number {
  let bytes = 0;
  for (const { pushedBytes } of works) bytes += pushedBytes;
  return bytes;
}
