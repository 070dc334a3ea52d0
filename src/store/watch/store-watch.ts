/**
 * Reports what happens in one open store, by the channels of `channels.ts`; `messages.ts` defines
 * each field.
 *
 * Invariants:
 * - Without subscribers nothing is computed and nothing is allocated: each method first reads
 *   `hasSubscribers`.
 * - A batch is reported after it is published, while it still counts as in flight: a subscriber
 *   that commits waits for its turn, and `commitSync` throws `VARVE_BUSY` there. So messages keep
 *   the order of the batches.
 *
 * It changes nothing in the store.
 */

import { pause, type Steps, stepsPerPause } from '../file/effects.ts';
import type { Published } from '../settle/settle.ts';
import type { RecoveryReport, StoreCore } from '../state/core.ts';
import type { Freed } from '../state/recent-archives.ts';
import { send, storeChannels } from './channels.ts';
import { WriteCounts } from './write-counts.ts';

/** The work of a session, as far as it is counted. */
interface Work {
  readonly operations: readonly { readonly operation: string; readonly length: number }[];
}

/** The plan of a published batch, as far as it is counted. */
interface PublishedPlan {
  readonly after: Published;
  readonly works: readonly Work[];
  readonly freed: { values(): Iterable<Freed> };
}

export class StoreWatch {
  readonly #core: StoreCore;
  readonly #channels = storeChannels();
  /** Undefined if there was no subscriber when the last batch began. */
  #counts: WriteCounts | undefined;
  /** When each session that was queued, or is in the batch in flight, called `commit`. */
  #calledAt: WeakMap<Work, number> | undefined;
  /** When the batch in flight began. */
  #beganAt = 0;

  constructor(core: StoreCore) {
    this.#core = core;
    if (this.#channels.commit.hasSubscribers) this.#countWrites();
    core.onPoison((error) => {
      const { poisoned } = this.#channels;
      if (poisoned.hasSubscribers) send(poisoned, { path: core.path, error });
    });
  }

  #countWrites(): void {
    this.#counts = new WriteCounts();
    this.#core.writer.measureBy(this.#counts);
  }

  // ── batches ──

  /** The session waits for its batch. */
  queued(work: Work): void {
    if (!this.#channels.commit.hasSubscribers) return;
    this.#called(work, performance.now());
  }

  /** A batch of these sessions begins. */
  batchBegins(waiting: readonly { readonly work: Work }[]): void {
    if (!this.#channels.commit.hasSubscribers) {
      if (this.#counts !== undefined) this.#stopCounting();
      return;
    }
    if (this.#counts === undefined) this.#countWrites();
    this.#beganAt = performance.now();
    for (const { work } of waiting) {
      if (this.#calledAt?.has(work) !== true) this.#called(work, this.#beganAt);
    }
  }

  #called(work: Work, at: number): void {
    this.#calledAt ??= new WeakMap();
    this.#calledAt.set(work, at);
  }

  #stopCounting(): void {
    this.#counts = undefined;
    this.#core.writer.measureBy(undefined);
  }

  /** True if somebody subscribes to what `published` reports. */
  get isWatched(): boolean {
    return this.#channels.commit.hasSubscribers || this.#channels.checkpoint.hasSubscribers;
  }

  /**
   * The batch is published; `checkpoint` is the one before it. Requires: no other batch is
   * published in its pauses.
   */
  *published(plan: PublishedPlan, checkpoint: number): Steps<void> {
    const { after } = plan;
    if (this.#channels.commit.hasSubscribers) yield* this.#sendCommit(plan);
    if (after.checkpoint > checkpoint && this.#channels.checkpoint.hasSubscribers) {
      yield* this.#sendCheckpoint(plan);
    }
  }

  /** A compaction has ended. */
  compacted(movedBytes: number, fileBytes: () => number): void {
    const { compact } = this.#channels;
    if (!compact.hasSubscribers) return;
    send(compact, { path: this.#core.path, movedBytes, fileBytes: fileBytes() });
  }

  *#sendCommit({ after, works }: PublishedPlan): Steps<void> {
    // Undefined if the batch began before there was a subscriber.
    const counts = this.#counts;
    if (counts === undefined) return;
    let sessions = 0;
    let values = 0;
    let valueBytes = 0;
    let since = this.#beganAt;
    let steps = 0;
    for (const work of works) {
      const calledAt = this.#calledAt?.get(work);
      if (calledAt !== undefined) {
        sessions += 1;
        since = Math.min(since, calledAt);
      }
      for (const { operation, length } of work.operations) {
        if (++steps % stepsPerPause === 0) yield pause;
        if (operation !== 'allocate') continue;
        values += 1;
        valueBytes += length;
      }
    }
    const { path } = this.#core;
    const waitMs = this.#beganAt - since;
    const batch = after.currentBatch;
    const message = { path, batch, sessions, values, valueBytes, ...counts.take(), waitMs };
    send(this.#channels.commit, message);
  }

  *#sendCheckpoint({ after, freed }: PublishedPlan): Steps<void> {
    let freedValues = 0;
    let freedBytes = 0;
    for (const { values } of freed.values()) {
      for (const { length } of values) {
        freedBytes += length;
        if (++freedValues % stepsPerPause === 0) yield pause;
      }
    }
    const { path } = this.#core;
    const { currentBatch: batch, checkpoint } = after;
    send(this.#channels.checkpoint, { path, batch, checkpoint, freedValues, freedBytes });
  }

  /** A settle is complete. */
  settled({ base: batch, pages }: { readonly base: number; readonly pages: number }): void {
    const { settle } = this.#channels;
    if (settle.hasSubscribers) send(settle, { path: this.#core.path, batch, pages });
  }
}

/** The time at which recovery begins, for `recovered`; undefined without subscribers. */
export function recoveryBegins(): number | undefined {
  return storeChannels().recovery.hasSubscribers ? performance.now() : undefined;
}

/** The store at `path` is open. */
export function recovered(path: string, report: RecoveryReport, begun: number | undefined): void {
  if (begun === undefined) return;
  send(storeChannels().recovery, { path, report, milliseconds: performance.now() - begun });
}
