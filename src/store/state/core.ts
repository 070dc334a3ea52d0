/**
 * The parts of one open store and its published state, shared by sessions, the Committer,
 * checkpoints and verification.
 *
 * Invariant: `published` and the committed marks of the Atlas change after a batch's sync is
 * complete. `publish` replaces `published` as a whole. While a batch is published in part, no
 * caller knows its ids yet. This file has no protocol of its own.
 */

import { ioError, VarveError } from '../../errors.ts';
import { type GrainIdParts, split, splitGrainId } from '../../format/grain-id.ts';
import type { FileSystem } from '../../io/file-system.ts';
import { assert } from '../../util/assert.ts';
import type { MemoryBudget } from '../../util/memory-budget.ts';
import type { FileReader } from '../file/file-reader.ts';
import { FileWriter } from '../file/file-writer.ts';
import type { Space } from '../file/space.ts';
import type { Atlas } from '../grains/atlas.ts';
import type { CommitLog } from '../log/commit-log.ts';
import type { RetainedLog } from '../log/log-history.ts';
import type { HeaderCopies } from '../settle/header-copies.ts';
import { Housekeeping } from '../settle/housekeeping.ts';
import type { Published } from '../settle/settle.ts';
import { StagingMemory } from '../values/staging-memory.ts';
import { type ValuePlace, valuePlace } from '../values/value-place.ts';
import type { ValueReader } from '../values/value-reader.ts';
import type { BatchId } from './batch-id.ts';
import { ChangeFollowers } from './change-followers.ts';
import { FreedWatches } from './freed-watches.ts';
import { Guards } from './guards.ts';
import { LentPages } from './lent-pages.ts';
import { RecentArchives } from './recent-archives.ts';
import type { StoreStatistics } from './store-statistics.ts';

/** The result of opening. */
export interface RecoveryReport {
  /** The last process closed the store (or the store is new). */
  readonly clean: boolean;
  /** The last batch, if it was incomplete and was taken back. */
  readonly revertedBatch: BatchId | undefined;
  /** Batches replayed from the commit log. */
  readonly replayedBatches: number;
  /** Damaged structures that a second copy or the log healed: descriptions with their places. */
  readonly healed: readonly string[];
}

/** The parts of a store that opening makes. */
export interface OpenedStore {
  readonly fileSystem: FileSystem;
  readonly path: string;
  readonly readOnly: boolean;
  readonly reader: FileReader;
  readonly values: ValueReader;
  readonly atlas: Atlas;
  readonly space: Space;
  readonly log: CommitLog;
  readonly headers: HeaderCopies;
  readonly published: Published;
  /** The core sets `retained` to the log and checkpoint of the open store. */
  readonly history: { retained: RetainedLog };
  readonly recovery: RecoveryReport;
  /** No batch was ever committed: the file is as creation has written it. */
  readonly isNew: boolean;
  readonly settleBytes: number | undefined;
  readonly budget: MemoryBudget;
  /** A record carries its values if their grains have up to this many bytes. */
  readonly carriedBytes: number;
  /** An epoch above every one in the file. */
  readonly nextEpoch: number;
}

export class StoreCore {
  /** The file system of the store's file. */
  readonly fileSystem: FileSystem;
  readonly path: string;
  readonly readOnly: boolean;
  readonly recovery: RecoveryReport;
  readonly reader: FileReader;
  readonly writer: FileWriter;
  readonly values: ValueReader;
  readonly atlas: Atlas;
  readonly space: Space;
  readonly log: CommitLog;
  readonly headers: HeaderCopies;
  readonly housekeeping: Housekeeping;
  readonly carriedBytes: number;
  /** Shared by all states of the store. */
  readonly budget: MemoryBudget;
  readonly guards = new Guards();
  readonly followers = new ChangeFollowers();
  readonly watches = new FreedWatches();
  readonly staging = new StagingMemory();
  readonly archives = new RecentArchives();
  readonly lent: LentPages;
  readonly counters = { commits: 0, sessionsCommitted: 0 };
  /** The checkpoint of the batch in flight. */
  checkpointUnderWay = 0;
  committing = false;
  /** The statistics before the batch that is being published, if publishing takes several turns. */
  statisticsBefore: StoreStatistics | undefined;
  closed = false;
  #published: Published;
  #poison: VarveError | undefined;
  #poisonListener: ((error: VarveError) => void) | undefined;
  /** Callbacks for the next published batch or the close, called once. */
  readonly #waiters = new Set<() => void>();

  constructor(opened: OpenedStore) {
    this.fileSystem = opened.fileSystem;
    this.path = opened.path;
    this.readOnly = opened.readOnly;
    this.recovery = opened.recovery;
    this.reader = opened.reader;
    this.writer = new FileWriter(opened.reader, opened.space, opened.values, opened.isNew);
    this.values = opened.values;
    this.atlas = opened.atlas;
    this.space = opened.space;
    this.lent = new LentPages(opened.space);
    this.log = opened.log;
    this.headers = opened.headers;
    this.budget = opened.budget;
    this.#published = opened.published;
    const checkpoint = (): number => this.headers.content.settled.checkpoint;
    opened.history.retained = { log: this.log, checkpoint };
    this.carriedBytes = opened.carriedBytes;
    this.housekeeping = new Housekeeping(this, opened.settleBytes);
  }

  /** The state after the last published batch: another object after each. */
  get published(): Published {
    return this.#published;
  }

  /** The batch after the last one is durable, and its changes are in memory. */
  publish(after: Published): void {
    const before = this.#published;
    assert(after.currentBatch === before.currentBatch + 1, 'batches are published in their order');
    assert(after.checkpoint >= before.checkpoint, 'a checkpoint does not go back');
    assert(after.checkpoint < after.currentBatch, 'a checkpoint is before its own batch');
    this.#published = after;
  }

  /** A batch is published in part: publishing takes several turns. */
  get publishing(): boolean {
    return this.statisticsBefore !== undefined;
  }

  get poisoned(): boolean {
    return this.#poison !== undefined;
  }

  /** Poisons the store: the content of the disk is unknown, and nothing more is written. */
  poison(cause: unknown): VarveError {
    const message = `the content of '${this.path}' is unknown after an error: open it again`;
    const isFirst = this.#poison === undefined;
    this.#poison = new VarveError('VARVE_POISONED', message, { path: this.path });
    const error = new VarveError('VARVE_POISONED', message, { path: this.path, cause });
    if (isFirst) this.#poisonListener?.(error);
    return error;
  }

  /** Calls `listener` once if the store is poisoned. Requires: called once. */
  onPoison(listener: (error: VarveError) => void): void {
    this.#poisonListener = listener;
  }

  /** Throws `VARVE_CLOSED`. */
  checkOpen(): void {
    if (this.closed) throw this.closedError();
  }

  /** Throws `VARVE_IO`. */
  async closeFile(): Promise<void> {
    try {
      await this.reader.file.close();
    } catch (error) {
      throw ioError('closing', this.path, error);
    }
  }

  closedError(): VarveError {
    const { path } = this;
    return new VarveError('VARVE_CLOSED', `the store '${path}' is closed`, { path });
  }

  /** Throws `VARVE_CLOSED`, `VARVE_READ_ONLY`, `VARVE_POISONED`. */
  checkWritable(): void {
    this.checkOpen();
    const { path } = this;
    if (this.readOnly) {
      throw new VarveError('VARVE_READ_ONLY', `the store '${path}' is open read-only`, { path });
    }
    this.checkSound();
  }

  /** Throws `VARVE_POISONED`. */
  checkSound(): void {
    if (this.#poison !== undefined) throw this.#poison;
  }

  /**
   * The bytes of the committed value with this id; undefined if there is none. Allocates nothing
   * but the result if the value is in one block of the cache. If it was read before, it asks only
   * the cache: freeing a value clears its mark there. Throws `VARVE_CORRUPT`, `VARVE_IO`.
   */
  read(id: bigint): Uint8Array<ArrayBuffer> | undefined {
    if (!splitGrainId(id)) return undefined;
    const { index } = split;
    const home = this.atlas.basins[split.basin]?.strata[split.stratum];
    const map = home?.openedWith(index);
    if (home === undefined || map === undefined) return undefined;
    const offset = map.grainOffset(index);
    const checked = this.values.readChecked(offset);
    if (checked !== undefined) return checked;
    const page = home.loadedPage(map, index);
    const count = page.countAt(index - page.firstIndex);
    if (count === 0) return undefined;
    const { basin, number } = home;
    if (!map.spread) {
      const found = this.values.readInBlock(split, offset, count << map.grainExp);
      if (found !== undefined) return found;
    }
    return this.values.read(valuePlace({ basin, stratum: number, index }, map, count));
  }

  /** The place of the committed value with this id; undefined if there is none. */
  place(id: bigint): ValuePlace | undefined {
    if (!splitGrainId(id)) return undefined;
    const { basin, stratum, index } = split;
    return this.placeOf({ basin, stratum, index });
  }

  placeOf(id: GrainIdParts): ValuePlace | undefined {
    const found = this.atlas.find(id);
    if (found === undefined) return undefined;
    return valuePlace(id, found.map, found.count);
  }

  /** Calls `resume` once: after the next commit, failed or not, or when the store closes. */
  onPublish(resume: () => void): () => void {
    this.#waiters.add(resume);
    return () => this.#waiters.delete(resume);
  }

  wake(): void {
    if (this.#waiters.size === 0) return;
    const waiters = [...this.#waiters];
    this.#waiters.clear();
    for (const resume of waiters) resume();
  }
}
