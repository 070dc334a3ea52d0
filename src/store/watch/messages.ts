/**
 * The messages that a store sends by `node:diagnostics_channel`, by the names of their channels.
 *
 * Types only. A message is made for each event, and only if somebody subscribes to its channel; all
 * subscribers get the same object. Times are milliseconds of a clock that never goes back, with
 * fractions. `path` is `Store.path`. Forests send the messages of their stores.
 */

import type { VarveError } from '../../errors.ts';
import type { BatchId } from '../state/batch-id.ts';
import type { RecoveryReport } from '../state/core.ts';

/**
 * A batch is durable and published. Each batch has one message, in the order of the batches; its
 * sessions resolve after it. Only a batch that began before the first subscriber came has none.
 */
export interface CommitMessage {
  readonly path: string;
  readonly batch: BatchId;
  /** Sessions that share the batch; 0 if the store made it itself, to free space on a full disk. */
  readonly sessions: number;
  /** Values that they have pushed, and the bytes of these values alone. */
  readonly values: number;
  readonly valueBytes: number;
  /**
   * Writes to the file that have returned since the last message of this channel, and their bytes:
   * those of this batch (values, record, housekeeping), and all others in that time (sessions that
   * write ahead, failed commits, settles). The first message counts from the opening, or from the
   * beginning of its batch if there was no subscriber then. Failed writes, and those of creation
   * and recovery, do not count: at each message, the sum of `bytesWritten` so far is
   * `StoreStatistics.bytesWritten`. Writes after the last message, like those of closing, are in
   * none.
   */
  readonly writes: number;
  readonly bytesWritten: number;
  /** Time from the call of each of these writes to its return, added up. */
  readonly writeMs: number;
  /** Time from the call of each sync to its return, added up, over the same time as `writes`. */
  readonly syncMs: number;
  /**
   * Time from the first call of `commit` among the sessions to the beginning of the batch: mostly
   * the wait for the batch before. It is 0 for `commitSync`, and without sessions.
   */
  readonly waitMs: number;
}

/** A batch with a new checkpoint is published; sent after its `CommitMessage`. */
export interface CheckpointMessage {
  readonly path: string;
  /** The batch that has moved the checkpoint. */
  readonly batch: BatchId;
  /** The checkpoint now: everything archived at or before it is free. */
  readonly checkpoint: BatchId;
  /** Values that it has freed, and the bytes of these values alone. */
  readonly freedValues: number;
  readonly freedBytes: number;
}

/**
 * A settle is complete: opening needs no log up to `batch`, and what the settle replaced is free. A
 * settle goes on over several batches, so `batch` is an older one; the last comes when the store
 * closes.
 */
export interface SettleMessage {
  readonly path: string;
  readonly batch: BatchId;
  /**
   * Pages of structures that it has written: mark pages, heads of maps, basins, the root. Each
   * counts once, even if its write was repeated. Values that the log carried do not count.
   */
  readonly pages: number;
}

/** A store has been opened, with or without anything to recover, also read-only. */
export interface RecoveryMessage {
  readonly path: string;
  /** As `Store.recovery`. */
  readonly report: RecoveryReport;
  /**
   * Time from the open file, with its lock, to the open store: reading, replay, and the writes of
   * creation or recovery. A wait for the lock does not count.
   */
  readonly milliseconds: number;
}

/** A compaction has ended: `Store.compact`, or an automatic one that had no more to move. */
export interface CompactMessage {
  readonly path: string;
  /** Bytes of values and of the log that it has copied. */
  readonly movedBytes: number;
  /** Length of the file now. */
  readonly fileBytes: number;
}

/** The store takes no more commits until it is opened again. Sent once. */
export interface PoisonedMessage {
  readonly path: string;
  /** `VARVE_POISONED`, with the reason as its `cause`. */
  readonly error: VarveError;
}

/** The message of each channel. */
export interface StoreMessages {
  readonly 'varve:commit': CommitMessage;
  readonly 'varve:checkpoint': CheckpointMessage;
  readonly 'varve:settle': SettleMessage;
  readonly 'varve:recovery': RecoveryMessage;
  readonly 'varve:compact': CompactMessage;
  readonly 'varve:poisoned': PoisonedMessage;
}
