/**
 * Histories in which settles have much to move: one that takes several commits, one in which documents
 * outgrow their places, one in which maps come and go. What they settle is changed while they do.
 *
 * Invariant: in the first two one or two values fill a stratum, so that a few values make many
 * structures.
 */

import type { History } from '../../support/lives/histories.ts';
import type { Life } from '../../support/lives/life.ts';

const valueBytes = 400;
/** Grains of a stratum with room for one such value, and for two. */
const grainsOfOne = 16;
const grainsOfTwo = 32;

/** Archives the oldest and the newest large value, and pushes a small one. */
async function touch(life: Life): Promise<void> {
  await life.commit((draft) => {
    const { live, expected } = life;
    const large = live.filter((id) => expected.current.values.get(id)?.bytes.length === valueBytes);
    draft.archive(...new Set([...large.slice(0, 1), ...large.slice(-1)]));
    draft.push(10);
  });
}

async function touchOften(life: Life, times: number): Promise<void> {
  for (let batch = 0; batch < times; batch++) await touch(life);
}

async function pushMany(life: Life, count: number): Promise<void> {
  await life.push(...Array(count).fill(valueBytes));
}

/**
 * More mark pages than ride on one commit, and batches that change them while some of them have
 * been written.
 */
export const settleOverCommits: History = {
  name: 'a settle that takes several commits',
  settings: { settleBytes: 512, limits: { grainsPerStratum: grainsOfTwo } },
  async run(life) {
    await life.leadUp(async () => {
      await life.open();
      await pushMany(life, 200);
      await touchOften(life, 9);
    });
    // One value of each page, then some of the others: pages of the settle, written and not.
    await life.commit((draft) => draft.archive(...life.live.filter((_, at) => at % 2 === 0)));
    await touchOften(life, 6);
    await life.checkpoint();
    await touchOften(life, 6);
    // The close finds a settle half way, and one of its pages changed since.
    await life.commit((draft) => draft.archive(...life.live.slice(2)));
    await touch(life);
    await life.reopen();
  },
};

/** A basin outgrows its place while another basin is written for the first time. */
export const documentsThatMove: History = {
  name: 'documents that outgrow their places',
  settings: { settleBytes: 512, limits: { grainsPerStratum: grainsOfOne, strataPerBasin: 60 } },
  async run(life) {
    await life.leadUp(async () => {
      await life.open();
      await pushMany(life, 50);
      // After two settles its next generation but one goes to the slot that a new basin takes first.
      await touchOften(life, 6);
    });
    await pushMany(life, 20);
    await touchOften(life, 5);
  },
};

/** With each batch a large value comes, takes a place that is free, and an older one goes. */
export const placesThatChange: History = {
  name: 'large values that come and go with each batch',
  settings: { settleBytes: 512 },
  async run(life) {
    await life.leadUp(() => life.open());
    for (let batch = 0; batch < 30; batch++) {
      await life.commit((draft) => {
        if (life.live.length > 4) draft.archive(...life.live.slice(0, 1));
        draft.push(66_000 * (1 + ((batch * 7) % 5)));
        const { checkpoint, batch: current } = life.expected.current;
        if (current > checkpoint) draft.checkpointTo(current);
      });
    }
  },
};
