/**
 * The reading side of a store that was opened read-only: its present batch, and how it moves on to
 * a newer one.
 *
 * Invariant: a state that was given out (`current`) stays a state of its own batch: moving on loads
 * another beside it. All of them share one tail of the log. The block cache goes along, without the
 * blocks of what was allocated or freed in between: an older value under an id that is used again
 * would pass its checksum. Reads only.
 */

import type { StorageFile } from '../../io/file-system.ts';
import { FileReader } from '../file/file-reader.ts';
import { LogTail, type TailStart } from '../log/log-tail.ts';
import type { LoadedStore } from '../open/loading.ts';
import type { OpenRequest } from '../open/open-request.ts';
import type { OpenedCore } from '../open/opening.ts';
import { loadBesideWriter } from '../open/reader-loading.ts';
import type { BatchId } from '../state/batch-id.ts';
import { StoreCore } from '../state/core.ts';
import { ProvenReads } from './proven-reads.ts';

/** The longest value that goes through the block cache, and the most grains that one has. */
const cachedBytesMax = 64 * 1024;
const grainsMax = 255;

export class StoreReader {
  readonly tail: LogTail;
  readonly #request: OpenRequest;
  readonly #file: StorageFile;
  #current: ProvenReads;
  /** States that may still be read: the differences since the oldest of them are kept. */
  #states: WeakRef<ProvenReads>[];
  #moving: Promise<BatchId> | undefined;
  /** Of those who asked while it was moving: what became durable before they did may be too new. */
  #movingNext: Promise<BatchId> | undefined;
  readonly #waiters = new Set<() => void>();

  constructor(request: OpenRequest, { core, loaded }: OpenedCore) {
    this.#request = request;
    this.#file = core.file;
    const follower = new FileReader(core.file, core.path);
    follower.salt = core.reader.salt;
    this.tail = new LogTail(follower, tailStart(loaded));
    const { generation } = loaded.choice.header;
    this.#current = new ProvenReads(core, this.tail, { era: this.tail.era, generation });
    this.#states = [new WeakRef(this.#current)];
  }

  get current(): ProvenReads {
    return this.#current;
  }

  /**
   * Moves to the newest batch, and to the newest settled state of that batch: after it, no read is
   * gone for what had become durable before the call. Rejects with `VARVE_CLOSED`, `VARVE_CORRUPT`,
   * `VARVE_IO`.
   */
  async refresh(): Promise<BatchId> {
    if (this.#moving === undefined) return await this.#move();
    this.#movingNext ??= this.#moveNext(this.#moving);
    return await this.#movingNext;
  }

  async #moveNext(before: Promise<BatchId>): Promise<BatchId> {
    await Promise.allSettled([before]);
    this.#movingNext = undefined;
    this.#current.checkOpen();
    return await this.#move();
  }

  /** One at a time. */
  #move(): Promise<BatchId> {
    this.#moving ??= this.#refresh().finally(() => {
      this.#moving = undefined;
    });
    return this.#moving;
  }

  async #refresh(): Promise<BatchId> {
    const { tail } = this;
    const before = this.#current;
    const reached = await tail.followAsync();
    before.checkOpen();
    if (reached && before.isNewest && tail.newest === before.batch) return before.batch;
    const { era } = tail;
    const loaded = await this.#load(before);
    const { currentBatch } = loaded.opened.published;
    const isOfSameBatch = currentBatch === before.batch;
    const isNewer = currentBatch > before.batch || (isOfSameBatch && !before.isNewest);
    if (!isNewer && !before.isLost) return before.batch;
    await tail.followAsync();
    before.checkOpen();
    const { generation } = loaded.choice.header;
    const after = new ProvenReads(new StoreCore(loaded.opened), tail, { era, generation });
    if (before.isComplete && !after.isLost && tail.newest >= after.batch) {
      keepCache(before.core, after.core, tail);
    }
    this.#current = after;
    this.#forgetStates(after);
    for (const resume of [...this.#waiters]) resume();
    return after.batch;
  }

  /** If the store is closed meanwhile, that is what is said, whatever the closed file says. */
  async #load(before: ProvenReads): Promise<LoadedStore> {
    try {
      return await loadBesideWriter({ ...this.#request, signal: undefined }, this.#file);
    } finally {
      before.checkOpen();
    }
  }

  #forgetStates(newest: ProvenReads): void {
    this.#states = this.#states.filter((state) => state.deref() !== undefined);
    this.#states.push(new WeakRef(newest));
    const batches = this.#states.map((state) => state.deref()?.batch ?? newest.batch);
    this.tail.differences.forgetUpTo(Math.min(this.tail.newest, ...batches));
  }

  /** Calls `resume` each time it has moved on or is closed, until what it gives is called. */
  onMove(resume: () => void): () => void {
    this.#waiters.add(resume);
    return () => this.#waiters.delete(resume);
  }

  /** Every state that was given out is closed with the store. */
  close(): void {
    this.tail.closed = true;
    for (const state of this.#states) {
      const core = state.deref()?.core;
      if (core !== undefined) core.closed = true;
    }
    for (const resume of [...this.#waiters]) resume();
  }
}

function keepCache(before: StoreCore, after: StoreCore, tail: LogTail): void {
  const { cache } = before.values;
  const changed = tail.differences.between(
    before.published.currentBatch,
    after.published.currentBatch,
  );
  for (const { basin, stratum, index } of changed) {
    for (const { atlas } of [before, after]) {
      const map = atlas.stratum(basin, stratum)?.mapWith(index);
      if (map === undefined) continue;
      const bytes = Math.min(grainsMax << map.grainExp, cachedBytesMax);
      cache.forget(map.grainOffset(index), bytes);
    }
  }
  after.values.takeCacheOf(before.values);
}

/** Where the log goes on after what was loaded. */
function tailStart({ opened, choice, replayed }: LoadedStore): TailStart {
  const { log, published } = opened;
  const { checkpoint, currentBatch } = published;
  const segments = log.next === undefined ? [log.current] : [log.current, log.next];
  return {
    header: choice.header,
    segments,
    laneSectors: log.snapshot(checkpoint).laneSectors,
    next: currentBatch + 1,
    last: replayed.last?.found,
    reverted: replayed.reverted,
    checkpoint,
  };
}
