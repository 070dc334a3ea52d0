/**
 * A full disk, opened again and filled up: the reserve is there when it is needed. A deletion may be
 * refused once the log is full; after a checkpoint, which is never refused, it goes through.
 */

import { expect, it } from 'vitest';
import { isVarveError } from '../../src/errors.ts';
import type { GrainId } from '../../src/index.ts';
import { type FullDiskLife, fill, filledLife } from './full-disk.ts';

/** Deletes `ids`, after a checkpoint if the first attempt is refused. */
async function remove(life: FullDiskLife, ids: GrainId[], checkpoint: 'own' | 'none') {
  try {
    await life.remove(ids, checkpoint);
    return;
  } catch (error) {
    // A refused checkpoint is a failure: by then the values are deleted.
    if (!isVarveError(error, 'VARVE_IO') || !life.live.has(ids[0] as GrainId)) throw error;
  }
  await life.store.checkpointTo(life.store.currentBatch);
  await life.remove(ids, checkpoint);
}

it.each([
  [1, 8, 40],
  [3, 1, 320],
  [3, 8, 40],
  [5, 8, 40],
])(
  'a full store is emptied (seed %d, a checkpoint after %d deletions of up to %d values)',
  async (seed, each, most) => {
    const settings = { pages: 451, step: 184, lengthOf: () => 1000 };
    const { life } = await filledLife({ seed, kind: 'sparse', ...settings });
    await life.reopen();
    await fill(life);
    for (let time = 1; life.live.size > 0; time++) {
      const ids = life.pick(1 + life.random.below(most));
      await remove(life, ids, time % each === 0 ? 'own' : 'none');
    }
    await life.store.checkpointTo(life.store.currentBatch);
    expect(life.store.statistics().values).toBe(0);
    await life.check(true);
    await life.close();
  },
);
