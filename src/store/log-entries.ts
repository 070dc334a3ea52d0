/**
 * The commit log as users see it: entries in order, up to a batch or following the writer.
 *
 * Invariant: while it is iterated a guard holds the entries that are still to come, and no longer:
 * the guard goes when the iterator ends, is told to, or is forgotten. No entry is given before its
 * batch is durable. Reads only.
 */

import { VarveError } from '../errors.ts';
import { type GrainId, joinGrainId } from '../format/grain-id.ts';
import type { LogOperation, LogRecord } from '../format/log-record.ts';
import { onAbort } from '../util/abort-listeners.ts';
import { Breather } from '../util/breather.ts';
import type { BatchId } from './batch-id.ts';
import type { StoreCore } from './core.ts';
import type { CheckpointGuard } from './guards.ts';
import { LogReader } from './log-reader.ts';

/** One change of a batch. */
export interface GrainChange {
  readonly operation: 'allocate' | 'archive' | 'free';
  readonly id: GrainId;
  /** Number of consecutive grains, 1..255. */
  readonly count: number;
}

/** What one batch did. */
export interface CommitLogEntry {
  readonly batch: BatchId;
  /** Milliseconds since the epoch, by the writer's clock. */
  readonly committedAt: number;
  readonly embeddedHeader: GrainId | undefined;
  /** Values allocated, archived and freed, in the order in which the batch's sessions queued. */
  readonly changes: readonly GrainChange[];
}

/** What is to be read: everything after `after`, up to `until` or on and on. */
export interface LogRange {
  readonly after: BatchId;
  readonly until: BatchId | undefined;
  readonly signal: AbortSignal | undefined;
}

/** Throws `VARVE_LOG_TRUNCATED` where entries after `batch` are gone or about to be. */
export function holdLog(core: StoreCore, batch: BatchId): CheckpointGuard {
  const reached = Math.max(core.published.checkpoint, core.checkpointUnderWay);
  if (batch < reached) {
    const message = `the commit log after batch ${batch} has been checkpointed away`;
    throw new VarveError('VARVE_LOG_TRUNCATED', message, {
      batch,
      expected: reached,
      actual: batch,
    });
  }
  return core.guards.hold(batch);
}

/** The entries of the range. `next` rejects as `Store.commitLog` says. */
export function logEntries(
  core: StoreCore,
  range: LogRange,
  breather = new Breather(),
): AsyncIterableIterator<CommitLogEntry> {
  return new LogEntries(new LogCursor(core, range, breather));
}

const finished = { done: true, value: undefined } as const;

/** Lets go of the log when the iterator that its user holds is forgotten. */
const forgotten = new FinalizationRegistry<LogCursor>((cursor) => cursor.end());

/** The iterator that its user holds. Neither the cursor nor what that waits for knows it. */
class LogEntries implements AsyncIterableIterator<CommitLogEntry> {
  readonly #cursor: LogCursor;

  constructor(cursor: LogCursor) {
    this.#cursor = cursor;
    forgotten.register(this, cursor);
  }

  next(): Promise<IteratorResult<CommitLogEntry, undefined>> {
    return this.#cursor.next();
  }

  /** Ends it at once: a `next` that waits is done, and the guard is released. */
  async return(): Promise<IteratorResult<CommitLogEntry, undefined>> {
    this.#cursor.end();
    return finished;
  }

  /** Ends it as `return` does, and rejects. */
  async throw(error: unknown): Promise<IteratorResult<CommitLogEntry, undefined>> {
    this.#cursor.end();
    throw error;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#cursor.end();
  }
}

class LogCursor {
  readonly #core: StoreCore;
  readonly #range: LogRange;
  readonly #breather: Breather;
  readonly #reader: LogReader;
  /** The last batch given. */
  #batch: number;
  #guard: CheckpointGuard | undefined;
  #ended = false;
  /** Goes on with a `next` that waits for a batch. */
  #resume: (() => void) | undefined;
  /** The calls of `next` so far, one after the other. */
  #calls: Promise<unknown> | undefined;

  constructor(core: StoreCore, range: LogRange, breather: Breather) {
    this.#core = core;
    this.#range = range;
    this.#breather = breather;
    this.#reader = new LogReader(core.reader, core.log);
    this.#batch = range.after;
  }

  next(): Promise<IteratorResult<CommitLogEntry, undefined>> {
    const before = this.#calls;
    const call = before === undefined ? this.#next() : before.then(() => this.#next());
    const settled = call.then(
      () => undefined,
      () => undefined,
    );
    this.#calls = settled;
    void settled.then(() => {
      if (this.#calls === settled) this.#calls = undefined;
    });
    return call;
  }

  async #next(): Promise<IteratorResult<CommitLogEntry, undefined>> {
    if (this.#ended) return finished;
    const core = this.#core;
    const { after, until, signal } = this.#range;
    try {
      if (this.#breather.due) await this.#breather.turn();
      const batch = this.#batch + 1;
      for (;;) {
        if (this.#ended) return finished;
        signal?.throwIfAborted();
        core.checkOpen();
        this.#guard ??= holdLog(core, after);
        if (batch <= core.published.currentBatch || batch > (until ?? batch)) break;
        await this.#published();
      }
      if (batch > (until ?? batch)) {
        this.end();
        return finished;
      }
      const value = entryOf(this.#reader.read(batch).record);
      const moved = core.guards.hold(batch);
      this.#guard.release();
      this.#guard = moved;
      this.#batch = batch;
      return { done: false, value };
    } catch (error) {
      this.end();
      throw error;
    }
  }

  /** Resolves when a batch is published, the signal is aborted, the store closes or this ends. */
  async #published(): Promise<void> {
    const { signal } = this.#range;
    let forgetPublish: () => void = () => undefined;
    let forgetAbort: () => void = () => undefined;
    await new Promise<void>((resolve) => {
      this.#resume = resolve;
      forgetPublish = this.#core.onPublish(resolve);
      if (signal !== undefined) forgetAbort = onAbort(signal, resolve);
    });
    this.#resume = undefined;
    forgetPublish();
    forgetAbort();
  }

  /** Holds nothing any more; a `next` that waits is done. */
  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#guard?.release();
    this.#resume?.();
  }
}

function entryOf(record: LogRecord): CommitLogEntry {
  const changes: GrainChange[] = [];
  for (const operation of record.operations) {
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
