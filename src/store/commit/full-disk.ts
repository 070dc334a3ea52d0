/**
 * A full disk: makes space from what nothing needs any more, and makes checkpoints small enough for
 * their records to find room.
 *
 * Invariants:
 * - A batch that was durable before stays so: if giving space back fails, it is tried again later.
 * - Every step of a checkpoint is a batch of its own. Those that are durable stay.
 *
 * It rejects no session.
 */

import { isVarveError } from '../../errors.ts';
import type { Steps } from '../file/effects.ts';
import type { StoreCore } from '../state/core.ts';
import { type FreedUpTo, freedBetween } from './checkpoint.ts';
import type { DroppedMap } from './commit-plan.ts';
import { type DurableWriter, isPoisoned } from './durable-writer.ts';
import type { GivenBackMaps } from './given-back-maps.ts';
import { SessionWork } from './session-work.ts';

/** A batch frees at most this many values, unless one batch archived more. */
const freedUsually = 2000;
/** As `freedUsually`, if the record found no room: one of these needs no extent for its body. */
export const freedWithoutBody = 250;

export class FullDisk {
  readonly #core: StoreCore;
  readonly #writer: DurableWriter;
  readonly #givenBack: GivenBackMaps;

  constructor(core: StoreCore, writer: DurableWriter, givenBack: GivenBackMaps) {
    this.#core = core;
    this.#writer = writer;
    this.#givenBack = givenBack;
  }

  /**
   * Drops empty maps in an own batch, then settles at once, which frees their pages and the log
   * before the checkpoint. On other disks they wait for a due settle. `refused`: a value or record
   * has just found no room. Never throws, since the batch before it is durable in any case. Refused
   * writes are tried again later; any other error poisons the store.
   */
  *reclaim(refused: boolean): Steps<void> {
    try {
      const empty = this.#givenBack.worthReclaiming(refused);
      if (empty === undefined) return;
      try {
        yield* this.#giveBack(empty, refused);
      } catch (error) {
        if (!isVarveError(error, 'VARVE_IO')) throw error;
      }
      this.#core.space.keepReserve();
    } catch (error) {
      if (!isPoisoned(error)) this.#core.poison(error);
    }
  }

  /**
   * An extra batch only if a session was refused: otherwise the next one drops the maps. And only
   * if the disk takes writes: if it refused the record and its blank, the store would be poisoned.
   */
  *#giveBack(empty: readonly DroppedMap[], refused: boolean): Steps<void> {
    const { writer, published } = this.#core;
    const before = writer.bytesWritten;
    yield* this.#writer.settleNow();
    if (!refused || writer.bytesWritten === before) return;
    const dropped = this.#givenBack.retire(empty);
    if (dropped.length > 0) {
      const { checkpoint } = published;
      yield* this.#writer.commit({ works: [], freed: new Map(), checkpoint, dropped });
      this.#givenBack.haveGone();
    }
    yield* this.#writer.settleNow();
  }

  /**
   * Divides a checkpoint that frees more than `freedMax` values into batches whose records find
   * room. Not if the session may be refused for its embedded header or a failed write: nothing is
   * freed then.
   */
  *checkpointInSteps(works: Iterable<SessionWork>, freedMax = freedUsually): Steps<void> {
    const core = this.#core;
    for (const { checkpointTo, embeddedHeader, writeError } of works) {
      if (checkpointTo === undefined || embeddedHeader || writeError !== undefined) continue;
      for (;;) {
        const target = core.guards.limit(checkpointTo);
        core.checkpointUnderWay = Math.max(core.published.checkpoint, target);
        const freed = yield* this.#freedInStep(target, freedMax);
        if (freed === undefined || freed.reached >= target) break;
        const step = new SessionWork(core.staging);
        const { reached: checkpoint } = freed;
        const batch = { works: [step], freed: new Map([[step, freed]]), checkpoint, dropped: [] };
        yield* this.#writer.commit(batch);
        yield* this.reclaim(true);
        core.checkSound();
      }
    }
  }

  /** Undefined if the log cannot be read: the Committer rejects that session alone. */
  *#freedInStep(target: number, freedMax: number): Steps<FreedUpTo | undefined> {
    try {
      return yield* freedBetween(this.#core, this.#core.published.checkpoint, target, freedMax);
    } catch {
      return undefined;
    }
  }
}
