/**
 * The commit log as users see it: entries in order, up to a batch or following the writer. Reads
 * only.
 *
 * Invariant: during iteration a guard holds the entries that are still to come. It is released when
 * the iterator ends, is ended by its user, or is garbage-collected. No entry is returned before its
 * batch is durable.
 */

import { VarveError } from '../../errors.ts';
import { type GrainId, joinGrainId } from '../../format/grain-id.ts';
import type { LogOperation, LogRecord } from '../../format/log-record.ts';
import { onAbort } from '../../util/abort-listeners.ts';
import { Breather } from '../../util/breather.ts';
import { inTurns, pause, type Steps, stepsPerPause } from '../file/effects.ts';
import { LogReader } from '../log/log-reader.ts';
import type { BatchId } from '../state/batch-id.ts';
import type { StoreCore } from '../state/core.ts';
import type { CheckpointGuard } from '../state/guards.ts';

/** One change of a batch. */
export interface GrainChange {
  readonly operation: 'allocate' | 'archive' | 'free';
  readonly id: GrainId;
  /** Number of consecutive grains, 1..255. */
  readonly count: number;
}

/** The changes of one batch. */
export interface CommitLogEntry {
  readonly batch: BatchId;
  /** Milliseconds since the epoch, by the writer's clock. */
  readonly committedAt: number;
  readonly embeddedHeader: GrainId | undefined;
  /** Values allocated, archived and freed, in the order in which the batch's sessions queued. */
  readonly changes: readonly GrainChange[];
}

/** The entries to read: all after `after`, up to `until` or without end. */
export interface LogRange {
  readonly after: BatchId;
  readonly until: BatchId | undefined;
  readonly signal: AbortSignal | undefined;
}

/**
 * Takes a guard of `batch`. Throws `VARVE_LOG_TRUNCATED` if a checkpoint, also one in flight,
 * passes it.
 */
export function holdLog(core: StoreCore, batch: BatchId): CheckpointGuard {
  const reached = Math.max(core.published.checkpoint, core.checkpointUnderWay);
  if (batch < reached) {
    const message = `a checkpoint has freed the commit log after batch ${batch}`;
    const facts = { batch, expected: reached, actual: batch };
    throw new VarveError('VARVE_LOG_TRUNCATED', message, facts);
  }
  return core.guards.hold(batch);
}

/** One state of the store: the entries of its published batches may be returned. */
export interface LogState {
  readonly core: StoreCore;
  /** The error to report if the entry after batch `after` cannot be read. */
  explained(error: unknown, after: BatchId): Promise<unknown>;
}

/** The source of entries. */
export interface LogSource {
  /** The newest state. */
  readonly now: LogState;
  /**
   * Calls `resume`, once or more often, when `now` may have more or is closed. The returned
   * function stops that.
   */
  onMore(resume: () => void): () => void;
}

/** The entries of a store that writes. `next` rejects as `Store.commitLog` says. */
export function logEntries(
  core: StoreCore,
  range: LogRange,
  breather?: Breather,
): AsyncIterableIterator<CommitLogEntry> {
  const now: LogState = { core, explained: async (error) => error };
  return followedEntries({ now, onMore: (resume) => core.onPublish(resume) }, range, breather);
}

/** The entries of the range, from any source. `next` rejects as `Store.commitLog` says. */
export function followedEntries(
  source: LogSource,
  range: LogRange,
  breather = new Breather(),
): AsyncIterableIterator<CommitLogEntry> {
  return new LogEntries(new FollowedLog(source, range, breather));
}

const finished = { done: true, value: undefined } as const;

/** Ends the log when the user's iterator is garbage-collected. */
const forgotten = new FinalizationRegistry<FollowedLog>((log) => log.end());

/**
 * The user's iterator. Neither the log nor its waiters refer to it, so that it can be collected.
 */
class LogEntries implements AsyncIterableIterator<CommitLogEntry> {
  readonly #log: FollowedLog;

  constructor(log: FollowedLog) {
    this.#log = log;
    forgotten.register(this, log);
  }

  next(): Promise<IteratorResult<CommitLogEntry, undefined>> {
    return this.#log.next();
  }

  /** Ends it at once: a waiting `next` is done, and the guard is released. */
  async return(): Promise<IteratorResult<CommitLogEntry, undefined>> {
    this.#log.end();
    return finished;
  }

  /** Ends it as `return` does, and rejects. */
  async throw(error: unknown): Promise<IteratorResult<CommitLogEntry, undefined>> {
    this.#log.end();
    throw error;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#log.end();
  }
}

class FollowedLog {
  readonly #source: LogSource;
  readonly #range: LogRange;
  readonly #breather: Breather;
  /** The current state; replaced when all its batches have been read. */
  #state: LogState;
  #reader: LogReader;
  /** The last batch returned. */
  #batch: number;
  /** The guard in the state's core. */
  #guard: CheckpointGuard | undefined;
  #ended = false;
  /** Resumes a `next` that waits for a batch. */
  #resume: (() => void) | undefined;
  /** Chain of the calls of `next`: each runs after the one before. */
  #calls: Promise<unknown> | undefined;

  constructor(source: LogSource, range: LogRange, breather: Breather) {
    this.#source = source;
    this.#range = range;
    this.#breather = breather;
    this.#state = source.now;
    this.#reader = readerOf(this.#state);
    this.#batch = range.after;
  }

  next(): Promise<IteratorResult<CommitLogEntry, undefined>> {
    const before = this.#calls;
    const call = before === undefined ? this.#next() : before.then(() => this.#next());
    const settled = Promise.allSettled([call]);
    this.#calls = settled;
    void settled.then(() => {
      if (this.#calls === settled) this.#calls = undefined;
    });
    return call;
  }

  async #next(): Promise<IteratorResult<CommitLogEntry, undefined>> {
    if (this.#ended) return finished;
    try {
      if (this.#breather.due) await this.#breather.turn();
      if (!(await this.#hasNext())) {
        this.end();
        return finished;
      }
      return { done: false, value: await this.#entry(this.#batch + 1) };
    } catch (error) {
      this.end();
      throw error;
    }
  }

  /** Waits for the next batch and holds it; false if the range has ended. */
  async #hasNext(): Promise<boolean> {
    const { until, signal } = this.#range;
    const batch = this.#batch + 1;
    for (;;) {
      if (this.#ended) return false;
      signal?.throwIfAborted();
      this.#state.core.checkOpen();
      this.#guard ??= holdLog(this.#state.core, this.#batch);
      if (batch > (until ?? batch)) return false;
      if (batch <= this.#state.core.published.currentBatch) return true;
      if (!this.#movesOn()) await this.#more();
    }
  }

  /** Moves to the source's newest state; false if it has not changed. */
  #movesOn(): boolean {
    const { now } = this.#source;
    if (now.core === this.#state.core) return false;
    this.#guard?.release();
    this.#guard = undefined;
    this.#state = now;
    this.#reader = readerOf(now);
    return true;
  }

  async #entry(batch: BatchId): Promise<CommitLogEntry> {
    try {
      const entry = await inTurns(this.#entrySteps(batch), this.#breather);
      // If it was ended meanwhile, take no guard.
      if (!this.#ended) this.#moveTo(batch);
      return entry;
    } catch (error) {
      throw await this.#state.explained(error, batch - 1);
    }
  }

  /** Holds the entries after this batch from now on. */
  #moveTo(batch: BatchId): void {
    const moved = this.#state.core.guards.hold(batch);
    this.#guard?.release();
    this.#guard = moved;
    this.#batch = batch;
  }

  *#entrySteps(batch: BatchId): Steps<CommitLogEntry> {
    const { record } = yield* this.#reader.readInSteps(batch);
    return yield* entryOf(record);
  }

  /** Resolves when there may be more, or if the signal aborts, the store closes or this ends. */
  async #more(): Promise<void> {
    const { signal } = this.#range;
    let forgetMore: () => void = () => undefined;
    let forgetAbort: () => void = () => undefined;
    await new Promise<void>((resolve) => {
      this.#resume = resolve;
      forgetMore = this.#source.onMore(resolve);
      if (signal !== undefined) forgetAbort = onAbort(signal, resolve);
    });
    this.#resume = undefined;
    forgetMore();
    forgetAbort();
  }

  /** Releases the guard; a waiting `next` is done. */
  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#guard?.release();
    this.#resume?.();
  }
}

function readerOf({ core }: LogState): LogReader {
  return new LogReader(core.reader, core.log);
}

function* entryOf(record: LogRecord): Steps<CommitLogEntry> {
  const changes: GrainChange[] = [];
  for (const [at, operation] of record.operations.entries()) {
    if (at % stepsPerPause === 0) yield pause;
    if (!isChange(operation)) continue;
    const { basin, stratum, index, count } = operation;
    const id = joinGrainId(basin, stratum, index);
    changes.push({ operation: operation.operation, id, count });
  }
  const { batch, committedAt, embeddedHeader } = record;
  const root = embeddedHeader === 0n ? undefined : (embeddedHeader as GrainId);
  return { batch, committedAt, embeddedHeader: root, changes };
}

function isChange(
  operation: LogOperation,
): operation is LogOperation & { operation: GrainChange['operation'] } {
  const kind = operation.operation;
  return kind === 'allocate' || kind === 'archive' || kind === 'free';
}
