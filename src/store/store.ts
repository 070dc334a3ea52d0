/**
 * Store: the public class of one file of values, and the wiring behind it.
 *
 * Invariant: the parts that this file connects keep every promise of `spec/format.md` and of the
 * doc comments here: opening and recovery, sessions, the Committer, checkpoints, verification. It
 * checks arguments and states, and decides nothing else.
 */

import type { GrainId } from '../format/grain-id.ts';
import { memoryFileSystem } from '../io/memory-file-system.ts';
import type { MemoryBudget } from '../util/memory-budget.ts';
import type { LongOperation } from '../util/operations/long-operation.ts';
import { Operations } from '../util/operations/operations.ts';
import { checkNames } from '../util/options.ts';
import type { BackupReport } from './backup/backup.ts';
import { type BackupOptions, backUpStore } from './backup/store-backup.ts';
import { Compactor, type CompactReport } from './compact/store-compact.ts';
import type { ThinValuesOptions } from './compact/thin-values.ts';
import type { TrimReport } from './compact/trim.ts';
import type { HeaderUpdate } from './header-updates.ts';
import type { OpenRequest } from './open/open-request.ts';
import { openCore } from './open/opening.ts';
import { checkOptions, type StoreOptions } from './open/store-options.ts';
import { type CommitLogEntry, holdLog } from './readers/log-entries.ts';
import { PresentReads } from './readers/present-reads.ts';
import { type CommitLogOptions, commitLogOf } from './readers/reader-log.ts';
import { findingsOf, type VerifyOptions } from './readers/reader-verify.ts';
import { StoreReader } from './readers/store-reader.ts';
import { streamOf, type ValueReads } from './readers/value-reads.ts';
import type { Session } from './session.ts';
import { type BatchId, checkBatch } from './state/batch-id.ts';
import type { RecoveryReport, StoreCore } from './state/core.ts';
import type { CheckpointGuard } from './state/guards.ts';
import { statisticsOf } from './state/statistics.ts';
import type { StoreStatistics } from './state/store-statistics.ts';
import { type StoreView, viewOf } from './store-view.ts';
import { StoreWrites } from './store-writes.ts';
import { checkRange, type ReadStreamOptions } from './streams/value-stream.ts';
import { checkData, checkId } from './values/value-arguments.ts';
import type { Finding } from './verify/finding.ts';

type Bytes = Uint8Array<ArrayBuffer>;

let construct: (core: StoreCore, request: OpenRequest, reader: StoreReader | undefined) => Store;

/** Opens a store as `Store.open` does, from checked options; tests use it to lower limits. */
export async function openStore(request: OpenRequest): Promise<Store> {
  const opened = await openCore(request);
  const reader = request.readOnly ? new StoreReader(request, opened) : undefined;
  return construct(opened.core, request, reader);
}

/** A file of values. Make one with `Store.open` or `Store.inMemory`. */
export class Store implements AsyncDisposable {
  readonly #openedCore: StoreCore;
  /** Only if opened read-only. */
  readonly #reader: StoreReader | undefined;
  readonly #writes: StoreWrites;
  readonly #present: PresentReads;
  readonly #operations = new Operations();
  readonly #compactor: Compactor;
  #closing: Promise<void> | undefined;

  private constructor(core: StoreCore, request: OpenRequest, reader: StoreReader | undefined) {
    this.#openedCore = core;
    this.#reader = reader;
    this.#writes = new StoreWrites(core);
    this.#present = new PresentReads(core);
    const { committer } = this.#writes;
    this.#compactor = new Compactor(this.#operations, core, committer, request);
  }

  static {
    construct = (...parts) => new Store(...parts);
  }

  /**
   * Opens the file at `path` (a string or a `file:` URL object), with recovery if the last process
   * did not close it.
   * Rejects with `VARVE_LOCKED` (another writer has it), `VARVE_NOT_A_STORE` (another kind of file,
   * a directory: left unchanged), `VARVE_UNSUPPORTED_VERSION`, `VARVE_CORRUPT`, `VARVE_NOT_FOUND`,
   * `VARVE_EXISTS`, `VARVE_IO`, `VARVE_INVALID_ARGUMENT`. An empty file, or one of zeros that is no
   * longer than a new store, is a creation cut short: with `create` it is made anew, otherwise
   * `VARVE_NOT_FOUND`.
   */
  static async open(path: string | URL, options: StoreOptions = {}): Promise<Store> {
    return await openStore(checkOptions(path, options));
  }

  /** A store in memory only, with the path `:memory:`; same behaviour, nothing on disk. */
  static async inMemory(options: Pick<StoreOptions, 'cacheBytes'> = {}): Promise<Store> {
    checkNames('Store.inMemory', options, { cacheBytes: true });
    return await Store.open(':memory:', { fileSystem: memoryFileSystem(), ...options });
  }

  /** The state that reads see. */
  get #state(): ValueReads {
    return this.#reader?.current ?? this.#present;
  }

  /** The state for a read of this id. Throws `VARVE_CLOSED`, `VARVE_INVALID_ARGUMENT`. */
  #reads(method: string, id: unknown): ValueReads {
    this.#core.checkOpen();
    checkId(method, id);
    return this.#state;
  }

  get #core(): StoreCore {
    return this.#reader?.current.core ?? this.#openedCore;
  }

  get path(): string {
    return this.#core.path;
  }

  get readOnly(): boolean {
    return this.#core.readOnly;
  }

  /** The result of opening: recovery, replay, healing. */
  get recovery(): RecoveryReport {
    return this.#openedCore.recovery;
  }

  /** The last durable batch, 0 in a new store. If opened read-only: the batch that it sees. */
  get currentBatch(): BatchId {
    return this.#core.published.currentBatch;
  }

  /** All values archived at or before this batch have been freed. */
  get checkpoint(): BatchId {
    return this.#core.published.checkpoint;
  }

  /** A commit is queued or in flight. */
  get committing(): boolean {
    return this.#writes.areCommitting;
  }

  /** The id that the last commit set as the root of the user's data; undefined if there is none. */
  get embeddedHeader(): GrainId | undefined {
    return (this.#core.published.embeddedHeader || undefined) as GrainId | undefined;
  }

  /** Throws `VARVE_READ_ONLY`, `VARVE_CLOSED`, `VARVE_POISONED`. */
  session(): Session {
    return this.#writes.session();
  }

  /**
   * The value's bytes; `undefined` if the id names no committed value (an id inside a value, and
   * 0n, name none). Archived values stay readable until a checkpoint frees them.
   * Throws `VARVE_CORRUPT` if the stored bytes fail their checksum, `VARVE_CLOSED`, `VARVE_IO`. If
   * opened read-only, throws `VARVE_SNAPSHOT_GONE` if a writer has freed the value since
   * `currentBatch`, or has moved on too far for a proof: call `refresh`.
   */
  get(id: GrainId): Bytes | undefined {
    return this.#reads('Store.get', id).get(id);
  }

  /**
   * As `get`, without blocking the event loop: for large or cold values. A value freed meanwhile
   * gives `undefined`, or `VARVE_SNAPSHOT_GONE` if opened read-only.
   */
  async getAsync(id: GrainId): Promise<Bytes | undefined> {
    return await this.#reads('Store.getAsync', id).getAsync(id);
  }

  /**
   * True if the id names a committed value. If opened read-only: as of `currentBatch`, even if a
   * writer has freed it since. Throws as `get`.
   */
  has(id: GrainId): boolean {
    return this.#reads('Store.has', id).has(id);
  }

  /**
   * Length of the value in bytes, as stored with it and unchecked: only reading the value checks
   * it. Throws as `get`.
   */
  lengthOf(id: GrainId): number | undefined {
    return this.#reads('Store.lengthOf', id).lengthOf(id);
  }

  /**
   * Bytes `start` (inclusive) to `end` (exclusive) of a value, clipped to its length; `undefined`
   * if there is no such value. If `start >= end` there are none. The checksum is verified only if
   * the range is the whole value. Throws `VARVE_INVALID_ARGUMENT` for bounds that are no safe
   * integers from 0, and as `get`.
   */
  readRange(id: GrainId, start: number, end: number): Bytes | undefined {
    const method = 'Store.readRange';
    return this.#reads(method, id).readRange(id, checkRange(method, start, end));
  }

  /** As `readRange`, without blocking the event loop, and as `getAsync`. */
  async readRangeAsync(id: GrainId, start: number, end: number): Promise<Bytes | undefined> {
    const method = 'Store.readRangeAsync';
    return await this.#reads(method, id).readRangeAsync(id, checkRange(method, start, end));
  }

  /**
   * The value, or its bytes from `start` to `end`, as a stream of chunks with bounded memory;
   * `undefined` if there is no such value. It is a byte stream: a BYOB reader has it fill memory of
   * its own. Holds a guard until it ends, is cancelled or is collected. Throws as `readRange`.
   * The stream errors with `VARVE_NOT_FOUND` if the value had been archived before the call and is
   * freed meanwhile, `VARVE_CORRUPT` instead of its last chunk if it is the whole value and the
   * checksum does not match, `VARVE_CLOSED`, `VARVE_IO`, the reason of `signal`; if opened
   * read-only, with `VARVE_SNAPSHOT_GONE`.
   */
  createReadStream(
    id: GrainId,
    options: ReadStreamOptions = {},
  ): ReadableStream<Bytes> | undefined {
    return streamOf(this.#reads('Store.createReadStream', id), id, options);
  }

  /**
   * The store as of `currentBatch`; a later `refresh` does not move it. If the store is open for
   * writing, the view reads the present state: take a guard to keep values. Throws `VARVE_CLOSED`.
   */
  view(): StoreView {
    this.#core.checkOpen();
    return viewOf(this.#state, this.#core.published);
  }

  /**
   * For a store opened read-only beside a live writer: moves to the newest batch whose record and
   * values are whole in the file, and resolves to it. A power cut may still take that batch back.
   * Retries during commits; never rejects with `VARVE_SNAPSHOT_GONE`. Views keep their batch. If
   * the store is open for writing, resolves to `currentBatch`. Rejects with `VARVE_CLOSED`,
   * `VARVE_CORRUPT`, `VARVE_IO`.
   */
  async refresh(): Promise<BatchId> {
    this.#core.checkOpen();
    return (await this.#reader?.refresh()) ?? this.currentBatch;
  }

  /**
   * Pushes and commits one value. Large data is written without blocking or copying: do not change
   * it until this settles. Rejects as `Session.push` throws and `Session.commit` rejects.
   */
  async put(value: Uint8Array): Promise<{ id: GrainId; batch: BatchId }> {
    this.#core.checkWritable();
    return await this.#writes.puts.put(checkData('Store.put', value));
  }

  /**
   * Frees every value archived at or before `batch`, and the commit log up to it. Resolves to the
   * batch that made it durable. It goes only to the oldest live `CheckpointGuard`; a later call
   * frees the rest. A batch at or before `checkpoint` changes nothing and resolves to
   * `currentBatch`. On a full disk it goes in steps, each a batch: if one is refused, those before
   * it stay. Rejects with `VARVE_INVALID_ARGUMENT` for a batch to come, and as `Session.commit`.
   */
  checkpointTo(batch: BatchId): Promise<BatchId> {
    return this.#writes.checkpointTo(batch);
  }

  /**
   * Until it is released, no checkpoint passes `batch` (default: `currentBatch`): values readable
   * and not archived as of that batch stay readable, and the log after it stays.
   * Throws `VARVE_LOG_TRUNCATED` for a batch before `checkpoint` or before one in flight,
   * `VARVE_INVALID_ARGUMENT` for one after `currentBatch`, `VARVE_CLOSED`. If opened read-only, it
   * holds nothing: a writer does not know its readers.
   */
  guard(batch: BatchId = this.currentBatch): CheckpointGuard {
    this.#core.checkOpen();
    return holdLog(this.#core, checkBatch('Store.guard', batch, this.currentBatch));
  }

  /**
   * The retained commit log after batch `after` (default: `checkpoint`), oldest first, up to the
   * batch current at the call; with `follow`, until `signal`. Holds a guard during iteration.
   * The first `next()` rejects with `VARVE_LOG_TRUNCATED` if a checkpoint has freed entries after
   * `after`. If opened read-only, any `next()` may, since nothing holds the writer back, and
   * `follow` continues with each `refresh`.
   */
  commitLog(options: CommitLogOptions = {}): AsyncIterable<CommitLogEntry> {
    this.#core.checkOpen();
    return commitLogOf(this.#core, this.#reader, options);
  }

  /**
   * Runs `update` while no other caller of this method runs, then commits its session with the
   * returned id as the embedded header (null clears it). If `update` throws, nothing is committed.
   * The next `update` starts when this commit has settled, so `current` is durable; a call from
   * inside `update` never ends. Rejects with the error of `update`, and as `Session.commit`.
   */
  updateEmbeddedHeader(update: HeaderUpdate): Promise<BatchId> {
    return this.#writes.headerUpdates.update(update);
  }

  /**
   * Claims the embedded header as the root of `owner`'s data in this store, as the forest does. The
   * returned function ends the claim. Until then another claim throws `VARVE_BUSY`.
   * `Session.archive` of the embedded header's value throws `VARVE_INVALID_ARGUMENT` unless the
   * session sets another embedded header, or is that of `updateEmbeddedHeader`. Writes nothing.
   * Throws `VARVE_CLOSED`, `VARVE_INVALID_ARGUMENT`.
   */
  claimEmbeddedHeader(owner: string): () => void {
    this.#core.checkOpen();
    return this.#writes.header.take(owner);
  }

  /** The budget of `cacheBytes`: what stands on the store takes its memory from it. */
  get memory(): MemoryBudget {
    return this.#core.budget;
  }

  /** Throws `VARVE_CLOSED`. */
  statistics(): StoreStatistics {
    this.#core.checkOpen();
    return statisticsOf(this.#core);
  }

  /**
   * Checks the whole structure, and with `deep` every value's checksum, and yields each
   * inconsistency: two live values on one grain, something free that is referenced, space that does
   * not add up, … A sound store yields nothing. If opened read-only, rejects with
   * `VARVE_SNAPSHOT_GONE` if a writer has moved on and may be the cause.
   */
  verify(options: VerifyOptions = {}): AsyncIterable<Finding> {
    this.#core.checkOpen();
    return findingsOf(this.#state, options, () => this.#writes.areQuiet);
  }

  /**
   * Writes a consistent copy of one batch while commits go on: a closed store with the same ids and
   * embedded header, the values live and not archived at `batch`, `checkpoint` equal to it, and an
   * empty commit log. It is `<path>.partial` until it is complete and durable. Rejects with
   * `VARVE_EXISTS`, `VARVE_LOCKED` (by a writer or another backup), `VARVE_INVALID_ARGUMENT` (the
   * store's own path, a `fileSystem` without `rename`), `VARVE_SNAPSHOT_GONE` (opened read-only),
   * `VARVE_CORRUPT` with the place, `VARVE_IO`.
   */
  async backupTo(path: string, options: BackupOptions = {}): Promise<BackupReport> {
    this.#core.checkOpen();
    return await backUpStore(this.#operations, this.#core, this.#reader, { path, options });
  }

  /**
   * Moves data from the end of the file into free space nearer its start, batch by batch, and cuts
   * the file. GrainIds do not change, commits and reads go on. Resolves when moving gains nothing
   * more. Rejects with `VARVE_READ_ONLY`, `VARVE_POISONED`, `VARVE_IO`, `VARVE_CLOSED`, or
   * `VARVE_BUSY` if a compaction is running.
   */
  async compact(options: LongOperation = {}): Promise<CompactReport> {
    return await this.#compactor.compact(options);
  }

  /**
   * Ids of live values in grain maps of which values take at most `fill`, the emptiest map first:
   * push these again and archive the old ids, and the next compaction returns the space. As of the
   * first step (`gradual`: when it comes to the map), without archived values and each stratum's
   * newest map. They take no new values until `compact` ends. Throws also `VARVE_INVALID_ARGUMENT`.
   */
  thinValues(options: ThinValuesOptions = {}): AsyncIterable<GrainId> {
    return this.#compactor.thinValues(options);
  }

  /**
   * Returns free pages to the file system as holes, and moves nothing; 0 bytes if the platform
   * cannot, or without the optional addon. Rejects as `compact`, but not with `VARVE_BUSY`.
   */
  async trim(options: LongOperation = {}): Promise<TrimReport> {
    return await this.#compactor.trim(options);
  }

  /**
   * Stops long operations, waits for commits in flight, abandons open sessions, releases guards,
   * settles the metadata so that the next open is fast, and unlocks (even if it rejects). Later
   * calls of anything else fail with `VARVE_CLOSED`. Idempotent. Rejects with `VARVE_IO` if
   * settling failed (nothing durable is lost: the next open recovers), `VARVE_POISONED` if its own
   * sync failed.
   */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    const core = this.#core;
    this.#openedCore.closed = true;
    core.closed = true;
    this.#reader?.close();
    this.#writes.abandonAll();
    core.guards.releaseAll();
    core.wake();
    this.#compactor.close();
    try {
      await this.#operations.stopAll(core.closedError());
      await this.#writes.ended();
    } finally {
      await core.closeFile();
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
