/**
 * The Committer: makes batches durable, one at a time.
 *
 * A batch is every session that waits when it begins. It writes their values, then, when those
 * writes have returned, one log record that says everything the batch does, then syncs once, then
 * publishes. Housekeeping rides along. What a power cut leaves behind at each step: before the
 * sync, any part of it, which recovery takes back as a whole because the record, or a value that
 * it names, fails its CRC; after it, all of it. A write that fails rejects sessions and leaves
 * nothing behind; a sync that fails poisons the store (`durable-writer.ts`).
 */

import { isVarveError } from '../../errors.ts';
import { perform, performSync, type Steps } from '../file/effects.ts';
import type { RecordTarget } from '../log/commit-log.ts';
import type { StoreCore } from '../state/core.ts';
import type { Freed } from '../state/recent-archives.ts';
import { freedBetween } from './checkpoint.ts';
import { checkRoot, checkWork } from './commit-checks.ts';
import { type BatchPlan, type BatchRequest, type DroppedMap, planBatch } from './commit-plan.ts';
import { CommitQueue, Waiting } from './commit-queue.ts';
import { DurableWriter, Poisoned } from './durable-writer.ts';
import { GivenBackMaps } from './given-back-maps.ts';
import { forgetBatch, publishBatch } from './publish.ts';
import { SessionWork } from './session-work.ts';
import { smallBatchBytes, ValueWriter, valueBytes } from './value-writer.ts';

const nothingFreed = new Map<SessionWork, Freed>();

/** Values that one batch frees on a full disk, if they were not all archived by one. */
const freedMost = 2000;

export class Committer {
  readonly #core: StoreCore;
  readonly #writer: DurableWriter;
  readonly #values: ValueWriter;
  readonly #givenBack: GivenBackMaps;
  readonly #queue = new CommitQueue();
  #running: Promise<void> | undefined;
  /** The disk refused the last record, or room for it. */
  #recordRefused = false;
  /** When the batch under way was planned first. */
  #plannedAt: number | undefined;
  /** What the sessions taken out of the batch under way are to be told. */
  #rejected: (() => void)[] = [];

  constructor(core: StoreCore) {
    this.#core = core;
    this.#writer = new DurableWriter(core);
    this.#values = new ValueWriter(core, this.#writer);
    this.#givenBack = new GivenBackMaps(core);
  }

  /** A commit is queued or under way. */
  get busy(): boolean {
    return this.#core.committing || !this.#queue.isEmpty;
  }

  /** Makes the work durable with everything else that waits; resolves to its batch. */
  commit(work: SessionWork): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#queue.add(new Waiting(work, resolve, reject));
      this.#running ??= this.#run();
    });
  }

  /** As `commit`, on the calling thread. Only while not `busy`. */
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
   * Settles everything, so that the next opening reads no log, and marks the file clean. Nothing
   * may be queued or under way. Throws `VARVE_IO`, `VARVE_POISONED`.
   */
  async settleAll(): Promise<void> {
    try {
      await perform(this.#core.file, this.#writer.settleAll());
    } catch (error) {
      throw error instanceof Poisoned ? error.error : error;
    }
  }

  /** Resolves when nothing is queued or under way. */
  async drained(): Promise<void> {
    while (this.#running !== undefined) await this.#running;
  }

  async #run(): Promise<void> {
    // Sessions that commit in the same turn, or in answer to the last batch, share this one.
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
      // The marks of a new map may lie where the disk refuses them: the next is made elsewhere.
      if (core.space.tight) core.atlas.dropUnused();
      this.#over();
      for (const one of left) one.failed(error instanceof Poisoned ? error.error : error);
    }
    core.checkpointUnderWay = core.published.checkpoint;
  }

  /** What cannot be given back poisons the store: everybody is answered all the same. */
  *#giveUp(work: SessionWork, error: unknown): Steps<void> {
    try {
      yield* work.giveUpInSteps(error);
    } catch (failure) {
      work.state = 'ended';
      this.#writer.poisoned(failure);
    }
  }

  /**
   * Whoever follows the log is woken however it ended: a batch that fails may have published steps
   * of its checkpoint before.
   */
  #over(): void {
    this.#core.committing = false;
    this.#core.wake();
    this.#tellRejected();
  }

  /**
   * Makes the sessions of `left` durable; takes those out that cannot be, rejected, or that are to
   * try again. Where the disk refuses the record, that may be how the store finds out that it is
   * full: then it goes another way (the reserve, steps, a shorter record).
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
    yield* this.#logTogether(left);
  }

  /** Rejects alone those whose values the disk refuses. */
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

  /**
   * The sessions are in a batch of their own each: one that only archives may find room where one
   * that brings values does not.
   */
  #takeApart(left: Set<Waiting>): void {
    this.#queue.takeApart(left);
    left.clear();
  }

  /** Makes the sessions of `left`, whose values are written, durable with one batch. */
  *#logTogether(left: Set<Waiting>): Steps<void> {
    if (this.#core.space.tight) yield* this.#checkpointInSteps(left);
    const plan = yield* this.#plan(left);
    if (left.size === 0) return;
    const fill = valueBytes(worksOf(left)) + plan.body.length <= smallBatchBytes;
    yield* this.#carryOut(plan, fill);
    for (const one of left) one.batch = plan.after.currentBatch;
  }

  *#carryOut(plan: BatchPlan, fill: boolean): Steps<void> {
    const core = this.#core;
    let target: RecordTarget | undefined;
    this.#recordRefused = true;
    try {
      target = yield* this.#writer.place(plan);
      this.#recordRefused = false;
      yield* this.#writer.houseKeep(core.housekeeping.plan({ urgent: false, room: false, fill }));
      yield* this.#writer.backMarks(plan.added.maps.map(({ map }) => map));
      this.#recordRefused = true;
      yield* this.#writer.writeRecord(plan, target);
    } catch (error) {
      if (!(error instanceof Poisoned)) forgetBatch(core, plan, target);
      throw error;
    }
    yield* this.#writer.sync();
    yield* this.#publish(plan, target);
  }

  /** What is durable and cannot be made the present is for the next opening to show. */
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

  /** Tells the rejected, when the batch is over: what they try next finds it so. */
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
        // From here on: a guard that comes in a pause is not passed.
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
    // Field by field: every commit comes by here.
    const parts = { before, works, freed, checkpoint, retainedLogBytes, dropped, now, isShort };
    return yield* planBatch(atlas, parts);
  }

  // ── a full disk ──

  /**
   * Gives back, on a full disk, what can be: maps that hold nothing, in a batch of their own, and
   * with a settle at once their places and those of the log before the checkpoint. Elsewhere such
   * pages wait for a settle that is due; here the next value may have no others. `refused`: a value
   * has just found no room. The batch before stands whatever becomes of it, so this never throws:
   * what the disk refuses is tried again, and whatever else goes wrong poisons the store for what
   * comes next.
   */
  *#reclaim(refused: boolean): Steps<void> {
    try {
      const empty = this.#givenBack.worthReclaiming(refused);
      if (empty === undefined) return;
      try {
        const { counters } = this.#core;
        const before = counters.bytesWritten;
        yield* this.#writer.settleNow();
        // A batch of its own only if a session was refused: else the next one drops the maps. And
        // only on a disk that takes writes: a record that is refused, and its blank, would poison.
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
   * A checkpoint that frees more than a record has room for goes there in batches of its own. Not
   * where the session may yet be refused for its embedded header: then nothing is freed.
   */
  *#checkpointInSteps(left: Iterable<Waiting>): Steps<void> {
    const core = this.#core;
    for (const { work } of left) {
      const { checkpointTo, embeddedHeader, writeError } = work;
      if (checkpointTo === undefined || embeddedHeader || writeError !== undefined) continue;
      for (;;) {
        const target = core.guards.limit(checkpointTo);
        core.checkpointUnderWay = Math.max(core.published.checkpoint, target);
        const freed = yield* freedBetween(core, core.published.checkpoint, target, freedMost);
        const { reached: checkpoint } = freed;
        if (checkpoint >= target) break;
        const step = new SessionWork(core.staging);
        const batch = { works: [step], freed: new Map([[step, freed]]), checkpoint, dropped: [] };
        yield* this.#carryOut(yield* this.#planWith(batch), false);
        yield* this.#reclaim(true);
        core.checkSound();
      }
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
