/**
 * A store that was opened read-only: its current state, and how it moves to a newer one. Reads
 * only.
 *
 * Invariant: a state (`current`) stays as of its batch: moving loads another one beside it. All
 * states share one tail of the log. The block cache moves to the new state without the blocks of
 * values allocated or freed in between: an older value under a reused id would pass its checksum.
 */

import type { StorageFile } from '../../io/file-system.ts';
import { Breather } from '../../util/breather.ts';
import { inTurns, pause, type Steps, stepsPerPause } from '../file/effects.ts';
import { FileReader } from '../file/file-reader.ts';
import type { MapPart } from '../grains/map-parts.ts';
import { LogTail, type TailStart } from '../log/log-tail.ts';
import { grainsOffsetOf } from '../moves/map-moves.ts';
import type { LoadedStore } from '../open/loading.ts';
import type { OpenRequest } from '../open/open-request.ts';
import type { OpenedCore } from '../open/opening.ts';
import { loadBesideWriter } from '../open/reader-loading.ts';
import type { BatchId } from '../state/batch-id.ts';
import { StoreCore } from '../state/core.ts';
import { ProvenReads } from './proven-reads.ts';

/** The longest value that is read through the block cache, and the most grains of a value. */
const cachedBytesMax = 64 * 1024;
const grainsMax = 255;
/** States that one refresh loads, at most. Each but the last needs another batch taken back. */
const statesMax = 8;

export class StoreReader {
  readonly tail: LogTail;
  readonly #request: OpenRequest;
  readonly #file: StorageFile;
  #current: ProvenReads;
  /** States that may still be in use: the differences since the oldest one are kept. */
  #states: WeakRef<ProvenReads>[];
  #moving: Promise<BatchId> | undefined;
  /**
   * Shared by calls during a refresh: that one may miss batches that became durable before these
   * calls.
   */
  #movingNext: Promise<BatchId> | undefined;
  readonly #waiters = new Set<() => void>();

  constructor(request: OpenRequest, { core, loaded }: OpenedCore) {
    this.#request = request;
    this.#file = core.reader.file;
    const follower = new FileReader(this.#file, core.path);
    follower.salt = core.reader.salt;
    this.tail = new LogTail(follower, tailStart(loaded));
    const { generation } = loaded.choice.header;
    this.#current = new ProvenReads(core, this.tail, { era: this.tail.era, generation });
    this.#states = [new WeakRef(this.#current)];
  }

  get current(): ProvenReads {
    return this.#current;
  }

  /** A newer state for one use, which is not read as `current`. Rejects as `refresh`. */
  async loadNewest(): Promise<LoadedStore> {
    return await this.#load(this.#current);
  }

  /**
   * Moves to the newest batch, and to the newest settled state of that batch. After it, no batch
   * that was durable before the call can cause `VARVE_SNAPSHOT_GONE`. Rejects with `VARVE_CLOSED`,
   * `VARVE_CORRUPT`, `VARVE_IO`.
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

  /** Joins a move that is under way. */
  #move(): Promise<BatchId> {
    this.#moving ??= this.#refresh().finally(() => {
      this.#moving = undefined;
    });
    return this.#moving;
  }

  async #refresh(): Promise<BatchId> {
    const { tail } = this;
    const before = this.#current;
    const breather = Breather.chasing();
    const reached = await tail.followAsync(breather);
    before.checkOpen();
    if (reached && before.isNewest && tail.newest === before.batch) return before.batch;
    const after = await this.#newerState(before, breather);
    if (after === undefined) return before.batch;
    this.#current = after;
    before.core.atlas.loadedPages.retire();
    for (const resume of [...this.#waiters]) resume();
    await inTurns(this.#forgetStates(after), breather);
    return after.batch;
  }

  /**
   * A state newer than `before`, with its cache; undefined if there is none. If a batch is taken
   * back meanwhile, nothing could be proven in the state: it loads another one.
   */
  async #newerState(before: ProvenReads, breather: Breather): Promise<ProvenReads | undefined> {
    const { tail } = this;
    for (let tries = 1; ; tries++) {
      const { era } = tail;
      const loaded = await this.#load(before);
      const { currentBatch } = loaded.opened.published;
      const isOfSameBatch = currentBatch === before.batch;
      const isNewer = currentBatch > before.batch || (isOfSameBatch && !before.isNewest);
      if (!isNewer && !before.isLost) {
        loaded.opened.atlas.loadedPages.retire();
        return undefined;
      }
      await tail.followAsync(breather);
      before.checkOpen();
      const { generation } = loaded.choice.header;
      const after = new ProvenReads(new StoreCore(loaded.opened), tail, { era, generation });
      if (tries === 1) await inTurns(keepCache(before, after, tail), breather);
      before.checkOpen();
      if (!after.isLost || tries === statesMax) return after;
      loaded.opened.atlas.loadedPages.retire();
    }
  }

  /** If the store is closed meanwhile, throws that error instead of the closed file's. */
  async #load(before: ProvenReads): Promise<LoadedStore> {
    try {
      return await loadBesideWriter({ ...this.#request, signal: undefined }, this.#file);
    } finally {
      before.checkOpen();
    }
  }

  #forgetStates(newest: ProvenReads): Steps<void> {
    this.#states = this.#states.filter((state) => state.deref() !== undefined);
    this.#states.push(new WeakRef(newest));
    const batches = this.#states.map((state) => state.deref()?.batch ?? newest.batch);
    return this.tail.differences.forgetUpTo(Math.min(this.tail.newest, ...batches));
  }

  /** Calls `resume` after each move and on close, until the returned function is called. */
  onMove(resume: () => void): () => void {
    this.#waiters.add(resume);
    return () => this.#waiters.delete(resume);
  }

  /** Closes every state that still exists. */
  close(): void {
    this.tail.closed = true;
    for (const state of this.#states) {
      const core = state.deref()?.core;
      if (core !== undefined) core.closed = true;
    }
    for (const resume of [...this.#waiters]) resume();
  }
}

/**
 * Moves the cache, without the blocks of values allocated or freed in between, if these are known.
 * It moves first: in the pauses, reads of the state before must not put blocks back.
 */
function* keepCache(before: ProvenReads, after: ProvenReads, tail: LogTail): Steps<void> {
  const areKnown = (): boolean => before.isComplete && !after.isLost && tail.newest >= after.batch;
  if (!areKnown()) return;
  const { values } = after.core;
  values.takeCacheOf(before.core.values);
  let looked = 0;
  for (const { basin, stratum, index } of tail.differences.between(before.batch, after.batch)) {
    if (looked++ % stepsPerPause === 0) yield pause;
    for (const { atlas } of [before.core, after.core]) {
      const map = atlas.stratum(basin, stratum)?.mapWith(index);
      if (map === undefined) continue;
      const bytes = Math.min(grainsMax << map.grainExp, cachedBytesMax);
      values.forget(map.grainOffset(index), bytes);
    }
  }
  for (const { map } of tail.differences.replacedAfter(before.batch)) {
    const found = after.core.atlas.stratum(map.basin, map.stratum);
    for (const part of map.parts) {
      yield pause;
      if (found !== undefined) values.forget(...grainsOf(part, found.grainExp));
    }
  }
  if (!areKnown()) values.dropCache();
}

/** Offset and length of the grains of a map in the file. */
function grainsOf(part: MapPart, grainExp: number): [offset: number, bytes: number] {
  return [grainsOffsetOf(part), part.grains * 2 ** grainExp];
}

/** The position in the log after the loaded state. */
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
