/**
 * The Committer makes batches durable, one at a time. A batch is all sessions that wait when it
 * begins. It writes their values, unless the record carries them, and waits for these writes. It
 * writes one log record of all that the batch does, syncs once and publishes. Housekeeping's writes
 * ride along.
 *
 * A power cut before the sync leaves any part of the batch. Recovery takes all of it back if the
 * record, or a value that it names, fails its CRC. After the sync all of it is there. A failed
 * write rejects sessions, and nothing of them is visible, except steps of a checkpoint on a full
 * disk: those that are durable stay. A failed sync poisons the store.
 */

import { isVarveError, VarveError } from '../../errors.ts';
import { joinGrainId } from '../../format/grain-id.ts';
import type { Steps } from '../file/effects.ts';
import type { StoreCore } from '../state/core.ts';
import type { Freed } from '../state/recent-archives.ts';
import { StoreWatch } from '../watch/store-watch.ts';
import { checkpointOf, freedBetween } from './checkpoint.ts';
import type { MapMove } from './commit-plan.ts';
import { CommitQueue, Waiting } from './commit-queue.ts';
import { type Batch, DurableWriter, isPoisoned } from './durable-writer.ts';
import { FullDisk, freedWithoutBody } from './full-disk.ts';
import { GivenBackMaps } from './given-back-maps.ts';
import { type OwnBatch, OwnBatches, type OwnWork, type Rider } from './own-batches.ts';
import type { SessionWork } from './session-work.ts';
import { SmallRecords } from './small-record.ts';
import { recordCarries, writeValues } from './value-writer.ts';

const nothingFreed = new Map<SessionWork, Freed>();
const nothingOwn: OwnBatch = {};

/** `moves` is undefined if all of them have to wait. */
interface DecidedBatch extends Omit<Batch, 'moves'> {
  readonly moves: readonly MapMove[] | undefined;
}

export class Committer {
  readonly #core: StoreCore;
  readonly #watch: StoreWatch;
  readonly #writer: DurableWriter;
  readonly #givenBack: GivenBackMaps;
  readonly #fullDisk: FullDisk;
  readonly #small: SmallRecords;
  /** Automatic compaction, if the store has it. */
  #rider: Rider | undefined;
  readonly #queue = new CommitQueue();
  readonly #own: OwnBatches;
  #running: Promise<void> | undefined;
  /** Sessions of the batch in flight that have nothing to do. */
  readonly #idle: Waiting[] = [];
  /** Rejections of sessions taken out of the batch in flight, to be called when it is over. */
  #rejected: (() => void)[] = [];

  constructor(core: StoreCore) {
    this.#core = core;
    this.#watch = new StoreWatch(core);
    this.#writer = new DurableWriter(core, this.#watch);
    this.#givenBack = new GivenBackMaps(core);
    this.#small = new SmallRecords(core);
    this.#fullDisk = new FullDisk(core, this.#writer, this.#givenBack);
    this.#own = new OwnBatches(core, this.#watch, this.#writer, this.#givenBack);
  }

  get watch(): StoreWatch {
    return this.#watch;
  }

  /** It takes part in every batch of sessions from now on. */
  takeAlong(rider: Rider): void {
    this.#rider = rider;
  }

  /** A commit is queued or in flight. */
  get busy(): boolean {
    return this.#core.committing || !this.#queue.isEmpty || !this.#own.isEmpty;
  }

  /** Commits the work in the next batch, with all others that wait; resolves to the batch. */
  commit(work: SessionWork): Promise<number> {
    this.#watch.queued(work);
    return new Promise((resolve, reject) => {
      this.#queue.add(new Waiting(work, resolve, reject));
      this.#running ??= this.#run();
    });
  }

  /** As `commit`, on the calling thread. Requires: not `busy`. */
  commitSync(work: SessionWork): number {
    const failures: unknown[] = [];
    const waiting = new Waiting(work, ignore, (error) => failures.push(error));
    this.#core.writer.performSync(this.#batch([waiting]));
    if (failures.length > 0) throw failures[0];
    return waiting.batch;
  }

  /**
   * Makes a batch of the store's own. Resolves to false if its maps could not move yet, since a
   * settle writes structures: the batch has pushed it on. Rejects with `VARVE_IO`,
   * `VARVE_POISONED`.
   */
  async commitOwn(batch: OwnBatch): Promise<boolean> {
    return await this.#doOwn(batch);
  }

  /** Makes copies of maps durable. Rejects with `VARVE_POISONED`. */
  async syncCopies(): Promise<void> {
    await this.#doOwn('sync of copies');
  }

  async #doOwn(work: OwnWork): Promise<boolean> {
    if (!this.busy) return this.#core.writer.performSync(this.#ownSteps(work));
    const done = this.#own.queue(work);
    this.#running ??= this.#run();
    return await done;
  }

  *#ownSteps(work: OwnWork): Steps<boolean> {
    this.#core.committing = true;
    try {
      return yield* this.#own.steps(work);
    } finally {
      this.#over();
    }
  }

  /**
   * Settles everything, so that the next open replays no log, and marks the file clean.
   *
   * Requires: nothing is queued or in flight.
   * Throws: `VARVE_IO`, `VARVE_POISONED`.
   */
  async settleAll(): Promise<void> {
    // Maps made for values that were never committed keep the file long.
    this.#core.atlas.dropUnused();
    await this.#core.writer.perform(this.#writer.settleAll());
  }

  /** Resolves when nothing is queued or in flight. */
  async drained(): Promise<void> {
    while (this.#running !== undefined) await this.#running;
  }

  async #run(): Promise<void> {
    // Sessions that commit in the same turn, or when the last batch resolves, share this batch.
    for (let hop = 0; hop < 3; hop++) await undefined;
    while (this.busy) {
      const own = this.#own.take();
      if (own !== undefined) await own.settle(this.#core.writer.perform(this.#ownSteps(own.work)));
      const waiting = this.#queue.take();
      if (waiting.length > 0) await this.#core.writer.perform(this.#batch(waiting));
      for (let hop = 0; hop < 3; hop++) await undefined;
    }
    this.#running = undefined;
  }

  // ── one batch ──

  /** Settles every waiting session; never throws. */
  *#batch(waiting: readonly Waiting[]): Steps<void> {
    const core = this.#core;
    core.committing = true;
    this.#writer.batchBegins();
    this.#watch.batchBegins(waiting);
    let left: Iterable<Waiting> = waiting;
    try {
      core.checkSound();
      const own = this.#rider === undefined ? nothingOwn : yield* this.#rider.ride();
      const { currentBatch } = core.published;
      let moved = false;
      if (own.settles === true && core.housekeeping.canSettle) core.housekeeping.beginSettle();
      const isPlain = own.moves === undefined && own.drops !== true;
      if (!(isPlain && (yield* this.#commitSmall(waiting)))) {
        const all = new Set(waiting);
        left = all;
        moved = yield* this.#makeDurable(all, own);
      }
      if (core.published.currentBatch > currentBatch) this.#rider?.committed(moved);
      if (core.space.tight) yield* this.#fullDisk.reclaim(this.#rejected.length > 0);
      this.#over();
      for (const one of left) one.durable();
    } catch (error) {
      for (const { work } of left) {
        if (isPoisoned(error)) work.poisoned();
        else yield* this.#giveUp(work, error);
      }
      // Their marks may lie where the disk refuses writes: later maps lie elsewhere.
      if (core.space.tight) core.atlas.dropUnused();
      this.#over();
      for (const one of left) one.failed(error);
    }
    core.checkpointUnderWay = core.published.checkpoint;
  }

  /**
   * Makes a small batch durable. Returns false if it is none, or if its refused record was the
   * first sign of a full disk: see `#makeDurable`.
   */
  *#commitSmall(waiting: readonly Waiting[]): Steps<boolean> {
    const core = this.#core;
    const one = waiting.length === 1 ? waiting[0] : undefined;
    const record = one && this.#small.of(one.work);
    if (one === undefined || record === undefined) return false;
    core.checkpointUnderWay = record.plan.after.checkpoint;
    try {
      yield* this.#writer.commitSmall(record);
    } catch (error) {
      if (!this.#isRefusedRecord(error)) throw error;
      return false;
    }
    core.counters.sessionsCommitted += 1;
    one.batch = core.published.currentBatch;
    return true;
  }

  /** Poisons the store if the session's grains cannot be given back; every caller is answered. */
  *#giveUp(work: SessionWork, error: unknown): Steps<void> {
    try {
      yield* work.giveUpInSteps(error);
    } catch (failure) {
      this.#core.poison(failure);
    }
  }

  /**
   * Wakes followers after a failure too: steps of the batch's checkpoint may have been published.
   */
  #over(): void {
    this.#core.committing = false;
    this.#rider?.over();
    this.#core.atlas.loadedPages.unpinAll();
    this.#core.wake();
    this.#tellIdle();
    this.#tellRejected();
  }

  /**
   * Makes the sessions of `left` durable; removes those that it rejects or queues again. A refused
   * record may be the first sign of a full disk. Then it logs the batch again in the full disk's
   * way: from the reserve, with the checkpoint in steps and a sorted record. Returns true if the
   * maps of `own` could move with it.
   */
  *#makeDurable(left: Set<Waiting>, own: OwnBatch): Steps<boolean> {
    let carries = recordCarries(this.#core, worksOf(left));
    if (!carries) yield* this.#writeValues(left);
    for (let tries = this.#core.space.tight ? 1 : 2; tries > 0; tries--) {
      try {
        return yield* this.#logTogether(left, { carries, own });
      } catch (error) {
        if (!this.#isRefusedRecord(error)) throw error;
      }
      // On a full disk records are short.
      if (carries) yield* this.#writeValues(left);
      carries = false;
    }
    if (left.size > 1) {
      this.#takeApart(left);
      return false;
    }
    yield* this.#fullDisk.reclaim(true);
    this.#core.checkSound();
    yield* this.#logTogether(left, { carries, own: nothingOwn, freedMax: freedWithoutBody });
    return false;
  }

  /** Writes all values; rejects only the sessions whose values the disk refuses. */
  *#writeValues(left: Set<Waiting>): Steps<void> {
    const refused = yield* writeValues(this.#core, worksOf(left));
    if (refused.size === 0) return;
    for (const one of [...left]) {
      const error = refused.get(one.work);
      if (error !== undefined) yield* this.#reject(left, one, error);
    }
  }

  #isRefusedRecord(error: unknown): boolean {
    return this.#writer.recordRefused && this.#core.space.tight && isVarveError(error, 'VARVE_IO');
  }

  /** Queues each session for its own batch: one that only archives may find room in the log. */
  #takeApart(left: Set<Waiting>): void {
    this.#queue.takeApart(left);
    left.clear();
  }

  /**
   * Logs the sessions of `left` in one batch; on a full disk, steps of a checkpoint before it free
   * `freedMax` values each. Returns true if the maps of `own` could move with it. Requires: their
   * values are written, or the record `carries` them.
   */
  *#logTogether(
    left: Set<Waiting>,
    { carries, own, freedMax }: { carries: boolean; own: OwnBatch; freedMax?: number },
  ): Steps<boolean> {
    const core = this.#core;
    if (core.space.tight) yield* this.#fullDisk.checkpointInSteps(worksOf(left), freedMax);
    const batch = yield* this.#decide(left, own);
    if (left.size === 0) return false;
    yield* this.#writer.commit({ ...batch, moves: batch.moves ?? [], carries });
    core.counters.sessionsCommitted += left.size;
    for (const one of left) one.batch = core.published.currentBatch;
    return batch.moves !== undefined;
  }

  *#reject(left: Set<Waiting>, one: Waiting, error: unknown): Steps<void> {
    left.delete(one);
    yield* this.#giveUp(one.work, error);
    this.#rejected.push(() => one.failed(error));
  }

  /** A caller that commits again must not find the batch in flight. */
  #tellIdle(): void {
    for (const one of this.#idle.splice(0)) one.durable();
  }

  /** Rejects after the batch is over: a caller that tries again must not find it in flight. */
  #tellRejected(): void {
    if (this.#rejected.length === 0) return;
    const rejected = this.#rejected;
    this.#rejected = [];
    for (const tell of rejected) tell();
  }

  /**
   * Rejects the sessions that cannot be committed, and finds what the others free. A value that
   * becomes the embedded header exists when its session's part of the batch begins.
   */
  *#decide(left: Set<Waiting>, { moves = [], drops = false }: OwnBatch): Steps<DecidedBatch> {
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
          this.#idle.push(one);
          continue;
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
    // There is no batch, so nothing else may be decided for it.
    if (works.length === 0) return { works, freed, checkpoint, dropped: [], moves: undefined };
    const movable = yield* this.#own.movableBesides(moves);
    // No settle begins with a batch that moves maps.
    const settles = (movable ?? []).length === 0;
    const empty = drops ? this.#givenBack.retire(core.atlas.emptyMaps()) : undefined;
    const dropped = empty ?? (settles ? this.#givenBack.beginSettle() : []);
    return { works, freed, checkpoint, dropped, moves: movable };
  }
}

function ignore(): void {}

function worksOf(waiting: Iterable<Waiting>): SessionWork[] {
  return Array.from(waiting, ({ work }) => work);
}

/**
 * Returns the session's checkpoint, 0 if it has none. Throws if the session cannot be committed.
 */
function checkWork(core: StoreCore, work: SessionWork): number {
  if (work.writeError !== undefined) throw work.writeError;
  const root = work.embeddedHeader;
  if (typeof root === 'bigint' && work.own(root) === undefined && !core.place(root)) {
    throw rootIsGone(core);
  }
  return checkpointOf(core, work);
}

/** Throws if a checkpoint in `freed` frees the value that the session makes the embedded header. */
function checkRoot(core: StoreCore, work: SessionWork, freed: readonly Freed[]): void {
  const root = work.embeddedHeader;
  if (typeof root !== 'bigint') return;
  for (const { values } of freed) {
    for (const { basin, stratum, index } of values) {
      if (joinGrainId(basin, stratum, index) === root) throw rootIsGone(core);
    }
  }
}

function rootIsGone({ path }: StoreCore): VarveError {
  const message = 'the value that was to become the embedded header has been freed';
  return new VarveError('VARVE_NOT_FOUND', message, { path });
}
