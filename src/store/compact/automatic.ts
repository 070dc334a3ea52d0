/**
 * Automatic compaction: the steps of a compaction, carried out with the commits of sessions.
 *
 * Invariants:
 * - On average it writes at most as many bytes as commits write, in pieces of up to 64 KiB. It
 *   makes no sync and no batch of its own: the sync of a commit makes its copies durable, and the
 *   record of a later commit moves the maps.
 * - It begins if more than a third of the file is free pages, and 1 MiB of it. One that ends or
 *   fails may leave that much free: a map may be too long for every free stretch. The next one
 *   begins when a quarter more is free, or when the store has written as many bytes as are free.
 * - A refused write ends it, and so do marks that cannot be read. Neither fails the commit.
 */

import { isVarveError } from '../../errors.ts';
import { pageBytes } from '../../format/layout.ts';
import type { OwnBatch } from '../commit/own-batches.ts';
import type { Steps } from '../file/effects.ts';
import type { FreePart } from '../open/open-request.ts';
import type { StoreCore } from '../state/core.ts';
import { Compaction, type CompactionStep, type CompactionSteps } from './compaction.ts';

const pieceBytes = 64 * 1024;
/** Steps without writes that ride on one commit. */
const stepsMax = 16;
/** Free pages for the next compaction, by those that the last one left. */
const moreFree = 5 / 4;

const nothing: OwnBatch = {};

export class AutomaticCompaction {
  readonly #core: StoreCore;
  readonly #from: FreePart;
  readonly #ended: (movedBytes: number) => void;
  #movedBytes = 0;
  #steps: CompactionSteps<void> | undefined;
  #waits: CompactionStep | undefined;
  /** `bytesWritten` of the store up to which the copies of pieces are paid for. */
  #paid = 0;
  #paused = 0;
  /** The batch in flight moves maps: their new places are in its record. */
  #isMoving = false;
  /** Free pages when the last compaction ended. */
  #leftFree = 0;
  /** `bytesWritten` of the store when it ended. */
  #endedAt = 0;

  /** Calls `ended` with the bytes that a compaction has copied, when it has no more to move. */
  constructor(core: StoreCore, from: FreePart, ended: (movedBytes: number) => void) {
    this.#core = core;
    this.#from = from;
    this.#ended = ended;
    this.#paid = core.writer.bytesWritten;
  }

  /**
   * Ends what is under way, and begins nothing until the returned function is called. A batch in
   * flight that moves maps is over first: its record may be durable.
   */
  pause(): () => void {
    this.#paused += 1;
    if (!this.#isMoving) this.#end();
    return () => {
      this.#paused -= 1;
    };
  }

  /** The batch in flight has ended, durable or not. */
  over(): void {
    this.#isMoving = false;
    if (this.#paused > 0) this.#end();
  }

  /** Maps that are being copied stay where they are. */
  #end(): void {
    this.#steps?.return();
    this.#forget();
  }

  #forget(): void {
    this.#steps = undefined;
    this.#waits = undefined;
  }

  get #isDue(): boolean {
    const { space, writer } = this.#core;
    const { bytes, share } = this.#from;
    const free = space.freePages;
    if (free * pageBytes <= bytes || free <= space.endPage * share) return false;
    const left = this.#leftFree;
    return free > left * moreFree || writer.bytesWritten - this.#endedAt > left * pageBytes;
  }

  /**
   * A batch begins: writes what it may. Returns what the batch does besides: call `committed` when
   * it is durable, and `over` in any case. If it fails, this is called again with the next one.
   */
  *ride(): Steps<OwnBatch> {
    if (this.#paused > 0) return nothing;
    if (this.#steps === undefined) {
      if (!this.#isDue) return nothing;
      this.#paid = this.#core.writer.bytesWritten;
      this.#movedBytes = 0;
      this.#steps = new Compaction(this.#core, pieceBytes, 0).steps();
      this.#resume(true);
    }
    for (let left = stepsMax; this.#waits !== undefined && left > 0; left--) {
      const step = this.#waits;
      if (step.do === 'batch') {
        this.#isMoving = step.batch.moves !== undefined;
        return step.batch;
      }
      if (step.do === 'sync') return nothing;
      if (step.do === 'write' && !(yield* this.#write(step.piece))) return nothing;
      if (this.#waits === step) this.#resume(true);
    }
    return nothing;
  }

  /** False if commits have not written enough yet. */
  *#write({ offset, bytes }: { offset: number; bytes: Uint8Array }): Steps<boolean> {
    const { writer } = this.#core;
    const credit = writer.bytesWritten - this.#paid;
    if (credit < bytes.length) return false;
    try {
      yield* writer.write({ offset, chunks: [bytes] });
      // The copy itself counts as written too.
      this.#paid += 2 * bytes.length;
      this.#movedBytes += bytes.length;
    } catch (error) {
      this.#stopWith(error);
    }
    return true;
  }

  /** The batch with what `ride` returned is durable. `moved`: its maps could move. */
  committed(moved: boolean): void {
    const step = this.#waits;
    if (step?.do === 'sync') this.#resume(true);
    else if (step?.do === 'batch') this.#resume(moved);
  }

  #resume(answer: boolean): void {
    try {
      const next = this.#steps?.next(answer);
      this.#waits = next?.done === true ? undefined : next?.value;
      if (next?.done === true) this.#ended(this.#movedBytes);
    } catch (error) {
      if (!isVarveError(error)) throw error;
      this.#waits = undefined;
    }
    if (this.#waits === undefined) this.#hasEnded();
  }

  #stopWith(error: unknown): void {
    try {
      this.#steps?.throw(error);
    } catch {
      // Compaction ends with this error: the commit does not need it.
    }
    this.#hasEnded();
  }

  #hasEnded(): void {
    this.#forget();
    this.#leftFree = this.#core.space.freePages;
    this.#endedAt = this.#core.writer.bytesWritten;
  }
}
