/**
 * The commit log of a store that was opened read-only: up to the batch that it sees; following goes
 * on with each `refresh`.
 *
 * Invariant: an entry is given only if its record reads back whole, with its own batch in it, so it
 * is never of another batch. Entries that the writer has given up meanwhile are
 * `VARVE_LOG_TRUNCATED`. Reads only.
 */

import { isVarveError, VarveError } from '../errors.ts';
import { type CommitLogEntry, type LogRange, logEntries } from './log-entries.ts';
import type { ProvenReads } from './proven-reads.ts';
import type { StoreReader } from './store-reader.ts';

/** Yields the entries of the range. Rejects as `Store.commitLog`. */
export async function* readerLog(
  reader: StoreReader,
  { after: first, until, signal }: LogRange,
): AsyncGenerator<CommitLogEntry, void, undefined> {
  let after = first;
  for (;;) {
    const state = reader.current;
    try {
      const range = { after, until: until ?? state.batch, signal };
      for await (const entry of logEntries(state.core, range)) {
        after = entry.batch;
        yield entry;
      }
    } catch (error) {
      throw isVarveError(error, 'VARVE_CORRUPT')
        ? await explained(reader, state, after, error)
        : error;
    }
    if (until !== undefined) return;
    if (reader.current === state) await nextMove(reader, signal);
    reader.current.checkOpen();
  }
}

/** The log after the writer's checkpoint is there: else it is damaged. */
async function explained(
  reader: StoreReader,
  state: ProvenReads,
  after: number,
  error: VarveError,
): Promise<VarveError> {
  const { tail } = reader;
  if (!(await tail.followAsync()) || state.isLost) return state.gone();
  const { checkpoint } = tail;
  if (checkpoint <= after) return error;
  const message = `the writer has checkpointed the commit log after batch ${after} away`;
  const facts = { batch: after, expected: checkpoint, actual: after };
  return new VarveError('VARVE_LOG_TRUNCATED', message, facts);
}

async function nextMove(reader: StoreReader, signal: AbortSignal | undefined): Promise<void> {
  signal?.throwIfAborted();
  reader.current.checkOpen();
  await new Promise<void>((resolve, reject) => {
    const settle = (): void => {
      forget();
      signal?.removeEventListener('abort', abort);
      resolve();
    };
    const forget = reader.onMove(settle);
    function abort(): void {
      forget();
      reject(signal?.reason);
    }
    signal?.addEventListener('abort', abort, { once: true });
  });
}
