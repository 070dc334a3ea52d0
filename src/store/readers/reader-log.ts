/**
 * The commit log as its user asks for it. Of a store that was opened read-only: up to the batch
 * that it sees; a follower continues after each `refresh`. Reads only.
 *
 * Invariant: an entry is returned only if its record is whole and names its batch, so it is never
 * of another batch. Entries that the writer has freed meanwhile are `VARVE_LOG_TRUNCATED`.
 */

import { isVarveError, VarveError } from '../../errors.ts';
import { checkFlag, checkNames, checkSignal } from '../../util/options.ts';
import { type BatchId, checkBatch } from '../state/batch-id.ts';
import type { StoreCore } from '../state/core.ts';
import {
  type CommitLogEntry,
  followedEntries,
  type LogSource,
  type LogState,
  logEntries,
} from './log-entries.ts';
import type { ProvenReads } from './proven-reads.ts';
import type { StoreReader } from './store-reader.ts';

export interface CommitLogOptions {
  after?: BatchId | undefined;
  follow?: boolean | undefined;
  signal?: AbortSignal | undefined;
}

/**
 * `Store.commitLog` of a store with this state, and with this reader if it was opened read-only.
 * Throws `VARVE_INVALID_ARGUMENT`.
 */
export function commitLogOf(
  core: StoreCore,
  reader: StoreReader | undefined,
  options: CommitLogOptions,
): AsyncIterable<CommitLogEntry> {
  checkNames('Store.commitLog', options, { after: true, follow: true, signal: true });
  const { currentBatch, checkpoint } = core.published;
  const { after = checkpoint } = options;
  checkBatch('after', after, currentBatch);
  const follow = checkFlag('follow', options.follow, false);
  const signal = checkSignal(options.signal);
  const range = { after, until: follow ? undefined : currentBatch, signal };
  return reader === undefined ? logEntries(core, range) : followedEntries(readerLog(reader), range);
}

/** The reader's states and refreshes, for `followedEntries`. */
function readerLog(reader: StoreReader): LogSource {
  return {
    get now() {
      return new ReaderLogState(reader, reader.current);
    },
    onMore: (resume) => reader.onMove(resume),
  };
}

class ReaderLogState implements LogState {
  readonly #reader: StoreReader;
  /**
   * Keeps the whole state alive, not only its core: the reader closes only states that still exist.
   */
  readonly #state: ProvenReads;

  constructor(reader: StoreReader, state: ProvenReads) {
    this.#reader = reader;
    this.#state = state;
  }

  get core(): ProvenReads['core'] {
    return this.#state.core;
  }

  /** The log after the writer's checkpoint must be there: otherwise it is damaged. */
  async explained(error: unknown, after: number): Promise<unknown> {
    if (!isVarveError(error, 'VARVE_CORRUPT')) return error;
    const { tail } = this.#reader;
    if (!(await tail.followAsync()) || this.#state.isLost) return this.#state.gone();
    const { checkpoint } = tail;
    if (checkpoint <= after) return error;
    const message = `a checkpoint of the writer has freed the commit log after batch ${after}`;
    const facts = { batch: after, expected: checkpoint, actual: after };
    return new VarveError('VARVE_LOG_TRUNCATED', message, facts);
  }
}
