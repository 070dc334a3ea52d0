/**
 * The commit log of a store that was opened read-only: up to the batch that it sees; a follower
 * continues after each `refresh`. Reads only.
 *
 * Invariant: an entry is returned only if its record is whole and names its batch, so it is never
 * of another batch. Entries that the writer has freed meanwhile are `VARVE_LOG_TRUNCATED`.
 */

import { isVarveError, VarveError } from '../../errors.ts';
import type { LogSource, LogState } from './log-entries.ts';
import type { ProvenReads } from './proven-reads.ts';
import type { StoreReader } from './store-reader.ts';

/** The reader's states and refreshes, for `followedEntries`. */
export function readerLog(reader: StoreReader): LogSource {
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
