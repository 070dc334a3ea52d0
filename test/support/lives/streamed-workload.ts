/**
 * A workload of values that go in and out in several turns, on which each call of the disk fails
 * once: streams and large bytes pushed, beside commits; a session that takes over another; values
 * read as streams and as ranges. One call follows the other: each run makes the same calls.
 *
 * Invariant: a push of a large value that the disk refuses leaves its session usable, and succeeds
 * if it is made again there. If the disk refuses what is staged, the session is made anew.
 */

import { isVarveError } from '../../../src/errors.ts';
import type { GrainId } from '../../../src/index.ts';
import type { FaultyLife, Workload } from './disk-workload.ts';
import type { Draft } from './draft.ts';
import { LifeOver } from './life.ts';

const kibibyte = 1024;
const mebibyte = kibibyte * kibibyte;
const chunkBytes = 350_000;

/** A call that is made again if the disk refuses it. Throws `LifeOver` if a sync has failed. */
async function tried(life: FaultyLife, name: string, call: () => Promise<void>): Promise<void> {
  try {
    await life.triedAsync(name, call);
  } catch (error) {
    if (isVarveError(error, 'VARVE_POISONED')) throw new LifeOver('poisoned', { cause: error });
    throw error;
  }
}

const streamed = (life: FaultyLife, draft: Draft, length: number): Promise<void> =>
  tried(life, 'pushStream', () => draft.pushStream(length, chunkBytes));
const pushed = (life: FaultyLife, draft: Draft, length: number): Promise<void> =>
  tried(life, 'pushAsync', () => draft.pushAsync(length));

/** Commits in a session of its own, and once more in another one if the disk refuses. */
async function commit(life: FaultyLife, change: (draft: Draft) => Promise<void>): Promise<void> {
  for (let tries = 0; tries < 2; tries++) {
    const draft = life.draft();
    try {
      await change(draft);
    } catch (error) {
      if (error instanceof LifeOver || tries > 0) throw error;
      life.hear('push', error);
      draft.abandon();
      continue;
    }
    if ((await draft.commit()) !== undefined) return;
  }
}

/** As `commit`, without a word of what the disk refuses to a stream that is given up. */
async function abandoned(life: FaultyLife): Promise<void> {
  const draft = life.draft();
  await streamed(life, draft, 700_000);
  draft.abandon();
}

/** Many values are staged: they are written ahead, also from a session that is taken over. */
async function staged(life: FaultyLife, draft: Draft): Promise<void> {
  for (let count = 0; count < 3; count++) await draft.pushAsync(390_000 + count);
  const other = life.draft();
  try {
    await draft.pushStream(500_000);
    for (let count = 0; count < 2; count++) other.push(290_000 + count);
    draft.adopt(other);
  } finally {
    other.abandon();
  }
  await draft.pushAsync(20_000);
}

/** Reads each value as a stream, and a part of it in each way. */
async function readStreams(life: FaultyLife): Promise<void> {
  for (const [id, { bytes }] of life.expected.current.values) {
    const read = async (
      name: string,
      part: () => Promise<Uint8Array | undefined>,
      start = 0,
      end = bytes.length,
    ): Promise<void> => {
      let found: Uint8Array | undefined;
      await tried(life, name, async () => {
        found = await part();
      });
      const expected = bytes.subarray(start, end);
      if (found !== undefined && Buffer.compare(found, expected) === 0) return;
      throw new Error(`${name} of ${bytes.length} bytes: ${found?.length}`);
    };
    const [start, end] = [Math.floor(bytes.length / 3), bytes.length - 1];
    await read('createReadStream', () => bytesOf(life, id, {}));
    if (end < start) continue;
    await read('createReadStream', () => bytesOf(life, id, { start, end }), start, end);
    await read('readRangeAsync', () => life.store.readRangeAsync(id, start, end), start, end);
    await read('readRange', async () => life.store.readRange(id, start, end), start, end);
  }
}

async function bytesOf(
  life: FaultyLife,
  id: GrainId,
  range: { start?: number; end?: number },
): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  const options = { ...range, chunkBytes: chunkBytes + 5 };
  for await (const chunk of life.store.createReadStream(id, options) ?? []) chunks.push(chunk);
  return Buffer.concat(chunks);
}

export const streamedWorkload: Workload = {
  name: 'values from streams and as streams',
  settings: { settleBytes: 2 * kibibyte },
  steps: [
    (life) => life.open(),
    (life) => life.push(100),
    (life) =>
      commit(life, async (draft) => {
        await streamed(life, draft, 600_333);
        await life.push(50);
        await pushed(life, draft, mebibyte + 7000);
        life.push1(draft, 40);
      }),
    (life) => abandoned(life),
    (life) => commit(life, (draft) => staged(life, draft)),
    (life) => readStreams(life),
    (life) => life.commit((draft) => life.archive(draft, life.live.slice(1, -2))),
    (life) => life.checkpoint(),
    (life) => commit(life, (draft) => streamed(life, draft, 530_000)),
    (life) => life.reopen(),
    (life) => readStreams(life),
    (life) => life.push(21),
    (life) => life.close(),
  ],
};
