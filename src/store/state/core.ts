/**
 * The parts of one open store and what is published in it: the state that sessions, the committer,
 * checkpoints and verification share.
 *
 * Invariant: `published` and the Atlas's committed marks change when a batch's sync is complete;
 * nobody sees a batch in part who was not told the ids in it. It has no protocol of its own.
 */

import { isVarveError, VarveError } from '../../errors.ts';
import { type GrainIdParts, split, splitGrainId } from '../../format/grain-id.ts';
import { pageBytes } from '../../format/layout.ts';
import type { StorageFile } from '../../io/file-system.ts';
import type { FileReader } from '../file/file-reader.ts';
import type { Space } from '../file/space.ts';
import { watchedFile } from '../file/watched-file.ts';
import type { Atlas } from '../grains/atlas.ts';
import type { CommitLog } from '../log/commit-log.ts';
import type { RetainedLog } from '../log/log-history.ts';
import type { HeaderCopies } from '../settle/header-copies.ts';
import { Housekeeping } from '../settle/housekeeping.ts';
import type { Published } from '../settle/settle.ts';
import { StagingMemory } from '../values/staging-memory.ts';
import { type ValuePlace, type ValueReader, valuePlace } from '../values/value-reader.ts';
import type { BatchId } from './batch-id.ts';
import { Guards } from './guards.ts';
import { RecentArchives } from './recent-archives.ts';
import type { StoreStatistics } from './store-statistics.ts';

/** What opening found. */
export interface RecoveryReport {
  /** The last process closed the store (or the store is new). */
  readonly clean: boolean;
  /** The last commit, found incomplete and taken back. */
  readonly revertedBatch: BatchId | undefined;
  /** Batches read back from the commit log. */
  readonly replayedBatches: number;
  /** Damaged structures that a second copy or the log made good, in words with their places. */
  readonly healed: readonly string[];
}

/** What opening hands over. */
export interface OpenedStore {
  readonly path: string;
  readonly readOnly: boolean;
  readonly file: StorageFile;
  readonly reader: FileReader;
  readonly values: ValueReader;
  readonly atlas: Atlas;
  readonly space: Space;
  readonly log: CommitLog;
  readonly headers: HeaderCopies;
  readonly published: Published;
  /** To be told where the log and its checkpoint are from now on. */
  readonly history: { retained: RetainedLog };
  readonly recovery: RecoveryReport;
  readonly settleBytes: number | undefined;
  /** An epoch above every one in the file. */
  readonly nextEpoch: number;
}

export class StoreCore {
  readonly path: string;
  readonly readOnly: boolean;
  readonly recovery: RecoveryReport;
  readonly file: StorageFile;
  readonly reader: FileReader;
  readonly values: ValueReader;
  readonly atlas: Atlas;
  readonly space: Space;
  readonly log: CommitLog;
  readonly headers: HeaderCopies;
  readonly housekeeping: Housekeeping;
  readonly guards = new Guards();
  readonly staging = new StagingMemory();
  readonly archives = new RecentArchives();
  readonly published: { -readonly [Field in keyof Published]: Published[Field] };
  readonly counters = { commits: 0, sessionsCommitted: 0, syncs: 0, bytesWritten: 0 };
  /** The checkpoint that a batch under way will reach. */
  checkpointUnderWay = 0;
  /** Counts values that were freed: an asynchronous read looks whether any came in between. */
  freeings = 0;
  committing = false;
  /** What the store said of itself before the batch that is being published, if that takes long. */
  statisticsMeanwhile: StoreStatistics | undefined;
  closed = false;
  #poison: VarveError | undefined;
  /** Called, once each, when the next batch is published or the store closes. */
  readonly #waiters = new Set<() => void>();

  constructor(opened: OpenedStore) {
    this.path = opened.path;
    this.readOnly = opened.readOnly;
    this.recovery = opened.recovery;
    this.file = watchedFile(opened.file, opened.space);
    this.reader = opened.reader;
    this.values = opened.values;
    this.atlas = opened.atlas;
    this.space = opened.space;
    this.log = opened.log;
    this.headers = opened.headers;
    this.published = { ...opened.published };
    const checkpoint = (): number => this.headers.content.settled.checkpoint;
    opened.history.retained = { log: this.log, checkpoint };
    this.housekeeping = new Housekeeping(
      {
        salt: opened.reader.salt,
        atlas: this.atlas,
        space: this.space,
        log: this.log,
        headers: this.headers,
        published: this.published,
      },
      opened.settleBytes,
    );
  }

  /**
   * The length that the file is to be given before large writes up to byte `end`; undefined where
   * it is so long.
   */
  lengthFor(end: number): number | undefined {
    const length = this.space.lengthFor(Math.ceil(end / pageBytes));
    return length === undefined || length <= this.reader.length() ? undefined : length;
  }

  /**
   * Before a write up to byte `end` that goes by itself: the file is given its length at once, for
   * all that is to follow, not with each piece.
   */
  lengthen(end: number): void {
    const length = this.lengthFor(end);
    this.space.reach(Math.ceil(end / pageBytes));
    if (length === undefined) return;
    try {
      this.file.truncateSync(length);
    } catch {
      // The write makes the file longer too, by no more than it needs, or says why it cannot.
    }
  }

  /** A batch is there in part: its publishing takes several turns. */
  get publishing(): boolean {
    return this.statisticsMeanwhile !== undefined;
  }

  get poisoned(): boolean {
    return this.#poison !== undefined;
  }

  /** A sync failed: what the disk holds is unknown, so nothing is written any more. */
  poison(cause: unknown): VarveError {
    const message = `'${this.path}' may hold more than it should: open it again to find out`;
    this.#poison = new VarveError('VARVE_POISONED', message, { path: this.path });
    return new VarveError('VARVE_POISONED', message, { path: this.path, cause });
  }

  /** Throws `VARVE_CLOSED`. */
  checkOpen(): void {
    if (this.closed) throw this.closedError();
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
   * The bytes of the committed value with this id; undefined where there is none. Makes nothing on
   * the way where the value lies in one block of the cache, and where it was read before asks only
   * the cache: a value that is freed is unchecked there. Throws `VARVE_CORRUPT`, `VARVE_IO`.
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

  /**
   * As `read`, without blocking and past the cache; undefined also for a value that is freed
   * meanwhile. Rejects with `VARVE_CLOSED` too.
   */
  async readAsync(id: bigint): Promise<Uint8Array<ArrayBuffer> | undefined> {
    for (;;) {
      this.checkOpen();
      const place = this.place(id);
      if (place === undefined) return undefined;
      const { freeings } = this;
      try {
        const { bytes, crc } = await this.values.readAsync(place);
        if (freeings === this.freeings) return bytes;
        // Grains that were freed meanwhile may have been given to another value.
        this.checkOpen();
        const now = this.place(id);
        if (now === undefined) return undefined;
        if (now.capacity === place.capacity && this.values.storedCrc(now) === crc) return bytes;
      } catch (error) {
        this.checkOpen();
        if (!isVarveError(error, 'VARVE_CORRUPT') || freeings === this.freeings) throw error;
      }
    }
  }

  /** Where the committed value with this id is; undefined where there is none. */
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

  /** Calls `resume` once, when the next commit is over, failed or not, or the store closes. */
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
