/**
 * The commit log as users see it: entries in order, up to a batch or following the writer.
 *
 * Invariant: while it is iterated a guard holds the entries that are still to come; no entry is
 * given before its batch is durable. Reads only.
 */

import { VarveError } from '../errors.ts';
import { type GrainId, joinGrainId } from '../format/grain-id.ts';
import type { LogOperation, LogRecord } from '../format/log-record.ts';
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

/** Yields the entries of the range. Rejects as `Store.commitLog`. */
export async function* logEntries(
  core: StoreCore,
  range: LogRange,
): AsyncGenerator<CommitLogEntry, void, undefined> {
  range.signal?.throwIfAborted();
  core.checkOpen();
  let guard = holdLog(core, range.after);
  try {
    const reader = new LogReader(core.reader, core.log);
    for (let batch = range.after + 1; batch <= (range.until ?? batch); batch++) {
      while (batch > core.published.currentBatch) await nextPublish(core, range.signal);
      const entry = entryOf(reader.read(batch).record);
      const moved = core.guards.hold(batch);
      guard.release();
      guard = moved;
      yield entry;
      range.signal?.throwIfAborted();
      core.checkOpen();
    }
  } finally {
    guard.release();
  }
}

async function nextPublish(core: StoreCore, signal: AbortSignal | undefined): Promise<void> {
  // What came between the last awakening and this call awakens nobody again.
  signal?.throwIfAborted();
  core.checkOpen();
  await new Promise<void>((resolve, reject) => {
    const settle = (): void => {
      signal?.removeEventListener('abort', abort);
      if (core.closed) reject(core.closedError());
      else resolve();
    };
    const forget = core.onPublish(settle);
    function abort(): void {
      forget();
      reject(signal?.reason);
    }
    signal?.addEventListener('abort', abort, { once: true });
  });
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
