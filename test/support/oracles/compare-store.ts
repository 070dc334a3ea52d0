/**
 * Holds an open store against the content that it should have: every value byte by byte, nothing
 * besides, the embedded header, the checkpoint, the retained commit log, and `verify`, deep unless
 * it is told not to be.
 *
 * Invariant: it throws at the first difference and changes nothing. `expect` is too slow for the
 * number of stores that come by here.
 */

import type { Store } from '../../../src/index.ts';
import { GrainId } from '../../../src/index.ts';
import type { Content } from './expected-content.ts';

export async function compareStore(store: Store, content: Content, deep = true): Promise<void> {
  same('the current batch', store.currentBatch, content.batch);
  same('the checkpoint', store.checkpoint, content.checkpoint);
  same('the embedded header', store.embeddedHeader, content.header);
  compareValues(store, content);
  await compareLog(store, content);
  for await (const { message, offset } of store.verify({ deep })) {
    throw new Error(`verify: ${message} (byte ${offset})`);
  }
}

function same(what: string, found: unknown, expected: unknown): void {
  if (found !== expected) throw new Error(`${what} is ${found}, it should be ${expected}`);
}

function compareValues(store: Store, { values }: Content): void {
  for (const [id, { bytes }] of values) {
    const found = store.get(id);
    if (found !== undefined && Buffer.compare(found, bytes) === 0) continue;
    const what = found === undefined ? 'is not there' : 'has other bytes';
    throw new Error(`the value ${GrainId.format(id)} of ${bytes.length} bytes ${what}`);
  }
  compareCounts(store, values);
}

/** What `statistics` counts: the values, and grains enough for them in a file that has them all. */
export function compareCounts(store: Store, values: Content['values']): void {
  const counted = store.statistics();
  let [archived, bytes, allocated] = [0, 0, 0];
  for (const value of values.values()) {
    archived += value.archivedIn === undefined ? 0 : 1;
    bytes += value.bytes.length;
  }
  for (const one of counted.strata) allocated += one.allocated * one.grainBytes;
  same('the number of values', counted.values, values.size);
  same('the number of archived values', counted.archivedValues, archived);
  same('the bytes of all values', counted.valueBytes, bytes);
  const { fileBytes, freeBytes } = counted;
  if (allocated < bytes || allocated + freeBytes > fileBytes) {
    throw new Error(`${allocated} of ${fileBytes} bytes are allocated, ${freeBytes} are free`);
  }
}

/**
 * The `expected` changes with the sessions' shares in the order in which `found` has them: which of
 * two sessions of one batch hears first depends on how many promises lie between.
 */
function inOrderOf(
  found: readonly string[],
  expected: readonly string[],
  shares: readonly number[],
): string[] {
  let from = 0;
  const sessions = shares.map((count) => {
    from += count;
    return expected.slice(from - count, from);
  });
  const place = ([first]: readonly string[]): number => found.indexOf(first ?? '');
  return sessions.sort((one, other) => place(one) - place(other)).flat();
}

async function compareLog(store: Store, content: Content): Promise<void> {
  const told = ({ operation, id }: { operation: string; id: GrainId }): string =>
    `${operation} ${GrainId.format(id)}`;
  let { checkpoint: batch } = content;
  for await (const entry of store.commitLog()) {
    batch += 1;
    const expected = content.log[batch - 1];
    if (expected === undefined) throw new Error(`the log has a batch ${entry.batch}`);
    same('the batch of a log entry', entry.batch, expected.batch);
    same(`the embedded header in the log, batch ${batch},`, entry.embeddedHeader, expected.header);
    const changes = entry.changes.map(told);
    const wanted = inOrderOf(changes, expected.changes.map(told), expected.shares);
    same(`the log of batch ${batch}`, changes.join(', '), wanted.join(', '));
    if (expected.committedAt === 0) continue;
    same(`the attempt at batch ${batch}`, entry.committedAt, expected.committedAt);
  }
  same('the end of the log', batch, content.batch);
}
