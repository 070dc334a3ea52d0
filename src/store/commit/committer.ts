/**
 * The Committer makes batches durable, one at a time. A batch is all sessions that wait when it
 * begins. It writes their values, waits for these writes, writes one log record of all that the
 * batch does, syncs once and publishes. Housekeeping's writes ride along.
 *
 * A power cut before the sync leaves any part of the batch. Recovery takes all of it back: the
 * record, or a value that it names, fails its CRC. After the sync all of it is there. A failed
 * write rejects sessions, and nothing of them is visible, except steps of a checkpoint on a full
 * disk: those that are durable stay. A failed sync poisons the store.
 */

import { isVarveError } from '../../errors.ts';
import { perform, performSync, type Steps } from '../file/effects.ts';
import type { RecordTarget } from '../log/commit-log.ts';
import type { StoreCore } from '../state/core.ts';
import type { Freed } from '../state/recent-archives.ts';
import { type FreedUpTo, freedBetween } from './checkpoint.ts';
import { checkRoot, checkWork } from './commit-checks.ts';
import { type BatchPlan, type BatchRequest, type DroppedMap, planBatch } from './commit-plan.ts';
import { CommitQueue, Waiting } from './commit-queue.ts';
import { DurableWriter, Poisoned } from './durable-writer.ts';
import { GivenBackMaps } from './given-back-maps.ts';
import { forgetBatch, publishBatch } from './publish.ts';
import { SessionWork } from './session-work.ts';
import { smallBatchBytes, ValueWriter, valueBytes } from './value-writer.ts';

const nothingFreed = new Map<SessionWork, Freed>();

/** On a full disk a batch frees at most this many values, unless one batch archived more. */
const freedMost = 2000;
/** As `freedMost`, if the record found no room: one of these needs no extent for its body. */
const freedFew = 250;

export class Committer {
  readonly #core: StoreCore;
  readonly #writer: DurableWriter;
  readonly #values: ValueWriter;
  readonly #givenBack: GivenBackMaps;
  readonly #queue = new CommitQueue();
  #running: Promise<void> | undefined;
  /** If a step fails now, the record has found no place, or was not written. */
  #recordRefused = false;
  /** The time of the first plan of the batch in flight, milliseconds since the epoch. */
  #plannedAt: number | undefined;
  /** Rejections of sessions taken out of the batch in flight, to be called when it is over. */
  #rejected: (() => void)[] = [];

  constructor(core: StoreCore) {
    this.#core = core;
    this.#writer = new DurableWriter(core);
    this.#values = new ValueWriter(core, this.#writer);
    this.#givenBack = new GivenBackMaps(core);
  }

  /** A commit is queued or in flight. */
  get busy(): boolean {
    return this.#core.committing || !this.#queue.isEmpty;
  }

  /** Commits the work in the next batch, with all others that wait; resolves to the batch. */
  commit(work: SessionWork): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#queue.add(new Waiting(work, resolve, reject));
      this.#running ??= this.#run();
    });
  }

  /** As `commit`, on the calling thread. Requires: not `busy`. */
  commitSync(work: SessionWork): number {
    let batch: number | undefined;
    let failure: unknown;
    const waiting = new Waiting(
      work,
      (durable) => {
        batch = durable;
      },
      (error) => {
        failure = error;
      },
    );
    performSync(this.#core.file, this.#batch([waiting]));
    if (batch === undefined) throw failure;
    return batch;
  }

  /**
   * Settles everything, so that the next open replays no log, and marks the file clean.
   *
   * Requires: nothing is queued or in flight.
   * Throws: `VARVE_IO`, `VARVE_POISONED`.
   */
  async settleAll(): Promise<void> {
    try {
      await perform(this.#core.file, this.#writer.settleAll());
    } catch (error) {
      throw error instanceof Poisoned ? error.error : error;
    }
  }

  /** Resolves when nothing is queued or in flight. */
  async drained(): Promise<void> {
    while (this.#running !== undefined) await this.#running;
  }

  async #run(): Promise<void> {
    // Sessions that commit in the same turn, or when the last batch resolves, share this batch.
    for (let hop = 0; hop < 3; hop++) await undefined;
    while (!this.#queue.isEmpty) {
      const waiting = this.#queue.take();
      await perform(this.#core.file, this.#batch(waiting));
      for (let hop = 0; hop < 3; hop++) await undefined;
    }
    this.#running = undefined;
  }

  // ── one batch ──

  /** Settles every waiting session; never throws. */
  *#batch(waiting: readonly Waiting[]): Steps<void> {
    const core = this.#core;
    core.committing = true;
    this.#plannedAt = undefined;
    const left = new Set(waiting);
    try {
      core.checkSound();
      yield* this.#makeDurable(left);
      if (core.space.tight) yield* this.#reclaim(this.#rejected.length > 0);
      this.#over();
      for (const one of left) one.durable();
    } catch (error) {
      for (const { work } of left) {
        if (error instanceof Poisoned) work.state = 'ended';
        else yield* this.#giveUp(work, error);
      }
      // Their marks may lie where the disk refuses writes: later maps lie elsewhere.
      if (core.space.tight) core.atlas.dropUnused();
      this.#over();
      for (const one of left) one.failed(error instanceof Poisoned ? error.error : error);
    }
    core.checkpointUnderWay = core.published.checkpoint;
  }

  /** Poisons the store if the session's grains cannot be given back; every caller is answered. */
  *#giveUp(work: SessionWork, error: unknown): Steps<void> {
    try {
      yield* work.giveUpInSteps(error);
    } catch (failure) {
      work.state = 'ended';
      this.#writer.poisoned(failure);
    }
  }

  /**
   * Wakes followers after a failure too: steps of the batch's checkpoint may have been published.
   */
  #over(): void {
    this.#core.committing = false;
    this.#core.wake();
    this.#tellRejected();
  }

  /**
   * Makes the sessions of `left` durable; removes those that it rejects or queues again. A refused
   * record may be the first sign of a full disk. Then it logs the batch again in the full disk's
   * way: from the reserve, with the checkpoint in steps and a sorted record.
   */
  *#makeDurable(left: Set<Waiting>): Steps<void> {
    const { space } = this.#core;
    yield* this.#writeValues(left);
    const knewFull = space.tight;
    try {
      return yield* this.#logTogether(left);
    } catch (error) {
      if (!this.#isRefusedRecord(error)) throw error;
    }
    if (!knewFull) {
      try {
        return yield* this.#logTogether(left);
      } catch (error) {
        if (!this.#isRefusedRecord(error)) throw error;
      }
    }
    if (left.size > 1) return this.#takeApart(left);
    yield* this.#reclaim(true);
    this.#core.checkSound();
    yield* this.#logTogether(left, freedFew);
  }

  /** Writes all values; rejects only the sessions whose values the disk refuses. */
  *#writeValues(left: Set<Waiting>): Steps<void> {
    const refused = yield* this.#values.write(worksOf(left));
    if (refused.size === 0) return;
    for (const one of [...left]) {
      const error = refused.get(one.work);
      if (error !== undefined) yield* this.#reject(left, one, error);
    }
  }

  #isRefusedRecord(error: unknown): boolean {
    return this.#recordRefused && this.#core.space.tight && isVarveError(error, 'VARVE_IO');
  }

  /** Queues each session for its own batch: one that only archives may find room in the log. */
  #takeApart(left: Set<Waiting>): void {
    this.#queue.takeApart(left);
    left.clear();
  }

  /**
   * Logs the sessions of `left` in one batch; on a full disk, steps of a checkpoint before it free
   * `most` values each. Requires: their values are written.
   */
  *#logTogether(left: Set<Waiting>, most = freedMost): Steps<void> {
    if (this.#core.space.tight) yield* this.#checkpointInSteps(left, most);
    const plan = yield* this.#plan(left);
    if (left.size === 0) return;
    const fill = valueBytes(plan.works) + plan.body.length <= smallBatchBytes;
    yield* this.#carryOut(plan, fill);
    this.#core.counters.sessionsCommitted += left.size;
    for (const one of left) one.batch = plan.after.currentBatch;
  }

  *#carryOut(plan: BatchPlan, fill: boolean): Steps<void> {
    const core = this.#core;
    let target: RecordTarget | undefined;
    this.#recordRefused = true;
    try {
      target = yield* this.#writer.place(plan);
      this.#recordRefused = false;
      const round = this.#writer.planHousekeeping({ urgent: false, room: false, fill });
      yield* this.#writer.houseKeep(round);
      yield* this.#writer.backMarks(plan.added.maps.map(({ map }) => map));
      this.#recordRefused = true;
      yield* this.#writer.writeRecord(plan, target);
      this.#recordRefused = false;
    } catch (error) {
      if (!(error instanceof Poisoned)) forgetBatch(core, plan, target);
      throw error;
    }
    yield* this.#writer.sync();
    yield* this.#publish(plan, target);
  }

  /**
   * The record is durable. If it cannot be applied in memory, this poisons the store, and the next
   * open replays the record.
   */
  *#publish(plan: BatchPlan, target: RecordTarget): Steps<void> {
    try {
      yield* publishBatch(this.#core, plan, target);
    } catch (error) {
      this.#core.statisticsMeanwhile = undefined;
      throw this.#writer.poisoned(error);
    }
  }

  *#reject(left: Set<Waiting>, one: Waiting, error: unknown): Steps<void> {
    left.delete(one);
    yield* this.#giveUp(one.work, error);
    this.#rejected.push(() => one.failed(error));
  }

  /** Rejects after the batch is over: a caller that tries again must not find it in flight. */
  #tellRejected(): void {
    if (this.#rejected.length === 0) return;
    const rejected = this.#rejected;
    this.#rejected = [];
    for (const tell of rejected) tell();
  }

  // ── the plan ──

  *#plan(left: Set<Waiting>): Steps<BatchPlan> {
    const core = this.#core;
    const { published } = core;
    let freed = nothingFreed;
    let { checkpoint } = published;
    for (const one of [...left]) {
      try {
        const target = checkWork(core, one.work);
        if (target <= published.checkpoint && one.work.onlyCheckpoints) {
          left.delete(one);
          one.batch = published.currentBatch;
          one.durable();
        }
        // Set before the pauses: a guard taken in one of them cannot hold this checkpoint back.
        core.checkpointUnderWay = Math.max(checkpoint, target);
        const found =
          target > checkpoint ? yield* freedBetween(core, checkpoint, target) : undefined;
        checkRoot(core, one.work, [...freed.values(), ...(found === undefined ? [] : [found])]);
        if (found === undefined) continue;
        if (freed === nothingFreed) freed = new Map();
        freed.set(one.work, found);
        checkpoint = target;
      } catch (error) {
        yield* this.#reject(left, one, error);
      }
    }
    core.checkpointUnderWay = checkpoint;
    const works = worksOf(left);
    const dropped = works.length > 0 ? this.#givenBack.beginSettle() : [];
    return yield* this.#planWith({ works, freed, checkpoint, dropped });
  }

  *#planWith(batch: Omit<BatchRequest, 'before' | 'retainedLogBytes' | 'now'>): Steps<BatchPlan> {
    const { atlas, log, published: before } = this.#core;
    const { works, freed, checkpoint, dropped } = batch;
    let { retainedBytes: retainedLogBytes } = log;
    for (const { logBytes } of freed.values()) retainedLogBytes -= logBytes;
    this.#plannedAt ??= Date.now();
    const now = this.#plannedAt;
    const isShort = this.#core.space.tight;
    // Field by field: this runs for each commit.
    const parts = { before, works, freed, checkpoint, retainedLogBytes, dropped, now, isShort };
    return yield* planBatch(atlas, parts);
  }

  // ── a full disk ──

  /**
   * On a full disk: drops empty maps in an own batch, then settles at once, which frees their pages
   * and the log before the checkpoint. On other disks they wait for a due settle. `refused`: a
   * value or record has just found no room. Never throws, since the batch before it is durable in
   * any case. Refused writes are tried again later; any other error poisons the store.
   */
  *#reclaim(refused: boolean): Steps<void> {
    try {
      const empty = this.#givenBack.worthReclaiming(refused);
      if (empty === undefined) return;
      try {
        const { counters } = this.#core;
        const before = counters.bytesWritten;
        yield* this.#writer.settleNow();
        // An extra batch only if a session was refused: otherwise the next one drops the maps. And
        // only if the disk takes writes: if it refused the record and its blank, the store would be
        // poisoned.
        if (refused && counters.bytesWritten > before) {
          yield* this.#giveBack(empty);
          yield* this.#writer.settleNow();
        }
      } catch (error) {
        if (!isVarveError(error, 'VARVE_IO')) throw error;
      }
      this.#core.space.keepReserve();
    } catch (error) {
      if (!(error instanceof Poisoned)) this.#writer.poisoned(error);
    }
  }

  /**
   * Divides a checkpoint that frees more than `most` values into batches whose records find
   * room. Not if the session may be refused for its embedded header or a failed write: nothing is
   * freed then.
   */
  *#checkpointInSteps(left: Iterable<Waiting>, most: number): Steps<void> {
    const core = this.#core;
    for (const { work } of left) {
      const { checkpointTo, embeddedHeader, writeError } = work;
      if (checkpointTo === undefined || embeddedHeader || writeError !== undefined) continue;
      for (;;) {
        const target = core.guards.limit(checkpointTo);
        core.checkpointUnderWay = Math.max(core.published.checkpoint, target);
        const freed = yield* this.#freedInStep(target, most);
        if (freed === undefined || freed.reached >= target) break;
        const { reached: checkpoint } = freed;
        const step = new SessionWork(core.staging);
        const batch = { works: [step], freed: new Map([[step, freed]]), checkpoint, dropped: [] };
        yield* this.#carryOut(yield* this.#planWith(batch), false);
        yield* this.#reclaim(true);
        core.checkSound();
      }
    }
  }

  /** Undefined if the log cannot be read: `#plan` rejects that session alone. */
  *#freedInStep(target: number, most: number): Steps<FreedUpTo | undefined> {
    try {
      return yield* freedBetween(this.#core, this.#core.published.checkpoint, target, most);
    } catch {
      return undefined;
    }
  }

  *#giveBack(empty: readonly DroppedMap[]): Steps<void> {
    const { checkpoint } = this.#core.published;
    const dropped = this.#givenBack.retire(empty);
    if (dropped.length === 0) return;
    const plan = yield* this.#planWith({ works: [], freed: new Map(), checkpoint, dropped });
    yield* this.#carryOut(plan, false);
    this.#givenBack.haveGone();
  }
}

function worksOf(waiting: Iterable<Waiting>): SessionWork[] {
  return Array.from(waiting, ({ work }) => work);
}
