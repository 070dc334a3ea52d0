/**
 * The commit log of a store that was opened read-only: up to the batch that it sees; following goes
 * on with each `refresh`.
 *
 * Invariant: an entry is given only if its record reads back whole, with its own batch in it, so it
 * is never of another batch. Entries that the writer has given up meanwhile are
 * `VARVE_LOG_TRUNCATED`. Reads only.
 */

import { isVarveError, VarveError } from '../../errors.ts';
import type { LogSource, LogState } from './log-entries.ts';
import type { ProvenReads } from './proven-reads.ts';
import type { StoreReader } from './store-reader.ts';

/** What the reader sees, and its refreshes, for `followedEntries`. */
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
  /** Held, not only its core: the reader closes the states that are still known. */
  readonly #state: ProvenReads;

  constructor(reader: StoreReader, state: ProvenReads) {
    this.#reader = reader;
    this.#state = state;
  }

  get core(): ProvenReads['core'] {
    return this.#state.core;
  }

  /** The log after the writer's checkpoint is there: else it is damaged. */
  async explained(error: unknown, after: number): Promise<unknown> {
    if (!isVarveError(error, 'VARVE_CORRUPT')) return error;
    const { tail } = this.#reader;
    if (!(await tail.followAsync()) || this.#state.isLost) return this.#state.gone();
    const { checkpoint } = tail;
    if (checkpoint <= after) return error;
    const message = `the writer has checkpointed the commit log after batch ${after} away`;
    const facts = { batch: after, expected: checkpoint, actual: after };
    return new VarveError('VARVE_LOG_TRUNCATED', message, facts);
  }
}
