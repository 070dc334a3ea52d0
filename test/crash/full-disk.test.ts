/**
 * A full disk: a store that has filled its disk can always be emptied and filled again, over
 * reopenings, with power cuts at any write, and no refusal poisons it.
 */

import { describe, expect, it } from 'vitest';
import type { Capacity } from '../support/disks/small-disk.ts';
import { Random } from '../support/random.ts';
import {
  FullDiskLife,
  type FullDiskSettings,
  fill,
  filledLife,
  finish,
  refill,
} from './full-disk.ts';

const lengths: readonly ((random: Random) => number)[] = [
  () => 100,
  () => 1000,
  () => 4000,
  (random) => 100 + random.below(300),
  (random) => 500 + random.below(9000),
  (random) => Math.floor(10 ** (2 + 2.5 * random.next())),
];

function settingsOf(seed: number, kind: Capacity): FullDiskSettings {
  const random = new Random(seed);
  const lengthOf = lengths[random.below(lengths.length)] as (random: Random) => number;
  const pages = 500 + random.below(400);
  // Some two to forty pages a commit.
  const step = Math.ceil((8000 * (1 + random.below(20))) / lengthOf(random));
  return {
    seed,
    kind,
    pages,
    step,
    lengthOf,
    compacts: seed % 2 === 0,
    ...(random.chance(0.5) ? {} : { settleBytes: 3000 }),
  };
}

/** The README: as many values as this can be archived by one commit. */
const deletedAtOnce = 2000;

/** Deletes everything, in any order and in steps of any size. */
async function empty(life: FullDiskLife): Promise<void> {
  const most = life.random.chance(0.1) ? 8 : 50 + life.random.below(400);
  const checkpoint = life.random.chance(0.5) ? 'same' : 'own';
  while (life.live.size > 0) {
    await life.remove(life.pick(1 + life.random.below(most)), checkpoint);
  }
  await life.store.checkpointTo(life.store.currentBatch);
}

async function cycle(life: FullDiskLife): Promise<void> {
  const { random } = life;
  await fill(life);
  await life.check();
  const bytes = life.liveBytes;
  if (random.chance(0.3)) await life.reopen();
  for (let at = random.below(10); at > 0; at--) await life.replace(1 + random.below(3));
  await empty(life);
  await life.check();
  if (random.chance(0.5)) await life.reopen();
  await refill(life, bytes * 0.9);
  await life.check(true);
}

/**
 * Fills a disk and deletes everything, so many values a commit, without checkpoints: only a commit
 * that is refused is followed by one. Then the disk can be filled again.
 */
async function deleteUntilRefused(
  settings: FullDiskSettings,
  valuesPerCommit: number,
): Promise<void> {
  const { life, bytes } = await filledLife(settings);
  let refusals = 0;
  while (life.live.size > 0) {
    try {
      await life.remove(life.pick(valuesPerCommit), 'none');
    } catch (error) {
      expect(error).toMatchObject({ code: 'VARVE_IO' });
      refusals += 1;
      await life.store.checkpointTo(life.store.currentBatch);
    }
  }
  expect(refusals).toBeGreaterThan(0);
  await life.store.checkpointTo(life.store.currentBatch);
  await finish(life, bytes);
}

const seeds = [1, 2, 3, 4, 5, 6, 7, 8];

describe('a store on a full disk', () => {
  it.each(seeds)(
    'is emptied and filled again if the length of the file counts (seed %d)',
    async (seed) => {
      const life = new FullDiskLife(settingsOf(seed, 'length'));
      await life.open();
      for (let round = 0; round < 2; round++) await cycle(life);
      expect(life.room.refusals).toBeGreaterThan(0);
      await life.close();
    },
  );

  it.each(seeds)('is emptied and filled again if files are sparse (seed %d)', async (seed) => {
    const life = new FullDiskLife(settingsOf(seed, 'sparse'));
    await life.open();
    for (let round = 0; round < 2; round++) await cycle(life);
    expect(life.room.refusals).toBeGreaterThan(0);
    await life.close();
  });

  it.each(seeds)('survives power cuts at any write (seed %d)', async (seed) => {
    const life = new FullDiskLife(settingsOf(seed + 100, seed % 2 === 0 ? 'sparse' : 'length'));
    await life.open();
    let cuts = 0;
    for (let round = 0; round < 30; round++) {
      life.cutAfter(life.random.below(300));
      try {
        if (round % 3 === 0) await fill(life);
        else if (round % 3 === 1) await empty(life);
        else await refill(life, life.liveBytes + 50_000);
        await life.reopen();
      } catch (error) {
        if (!life.hasEnded) throw error;
        await life.restart();
        cuts += 1;
      }
    }
    expect(cuts).toBeGreaterThan(5);
    life.cutAfter(Number.POSITIVE_INFINITY);
    await life.check(true);
    await life.close();
  });

  it('is emptied one value at a time, each with its checkpoint', async () => {
    const settings = {
      seed: 7,
      kind: 'length',
      pages: 200,
      step: 1,
      lengthOf: () => 3000,
    } as const;
    const { life, bytes } = await filledLife(settings);
    while (life.live.size > 0) await life.remove(life.pick(1), 'same');
    await finish(life, bytes);
  });

  it('is checkpointed after deletions that have filled the log', async () => {
    const settings = {
      seed: 8,
      kind: 'length',
      pages: 300,
      step: 40,
      lengthOf: () => 100,
    } as const;
    await deleteUntilRefused(settings, 3);
  });

  it('deletes thousands of values in one commit, and frees them in one checkpoint', async () => {
    const settings = {
      seed: 9,
      kind: 'length',
      pages: 500,
      step: 200,
      lengthOf: (random: Random) => 20 + random.below(80),
    } as const;
    const { life, bytes } = await filledLife(settings);
    expect(life.live.size).toBeGreaterThan(5 * deletedAtOnce);
    while (life.live.size > 0) await life.remove(life.pick(deletedAtOnce), 'own');
    await finish(life, bytes);
  });

  it('accepts in pieces a deletion whose record has no room, and stays sound', async () => {
    const settings = {
      seed: 10,
      kind: 'length',
      pages: 1500,
      step: 200,
      lengthOf: () => 30,
    } as const;
    const { life, bytes } = await filledLife(settings);
    let refusals = 0;
    for (let most = life.live.size; life.live.size > 0; ) {
      try {
        await life.remove(life.pick(most), 'own');
      } catch (error) {
        expect(error).toMatchObject({ code: 'VARVE_IO' });
        await life.check();
        refusals += 1;
        most = Math.ceil(most / 2);
        expect(most).toBeGreaterThan(deletedAtOnce / 2);
      }
    }
    expect(refusals).toBeGreaterThan(0);
    await finish(life, bytes);
  });

  it('replaces values for ever in the space that one checkpoint has freed', async () => {
    const settings = {
      seed: 11,
      kind: 'length',
      pages: 300,
      step: 5,
      lengthOf: () => 900,
    } as const;
    const { life } = await filledLife(settings);
    await life.remove(life.pick(60), 'own');
    await life.store.checkpointTo(life.store.currentBatch);
    for (let round = 0; round < 300; round++) {
      expect(await life.replace(1 + life.random.below(5)), `round ${round}`).toBe(true);
    }
    await life.check(true);
    await life.close();
  });

  it('is checkpointed after long deletions that have filled the disk', async () => {
    const settings = {
      seed: 12,
      kind: 'length',
      pages: 1000,
      step: 200,
      lengthOf: () => 30,
    } as const;
    await deleteUntilRefused(settings, 3000);
  });
});
