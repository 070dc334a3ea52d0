/**
 * The written-out histories that are cut at every operation: each a thing that a store does to its
 * file, with a settle so often that its steps fall between the commits.
 *
 * Invariant: they take ids from the life's expected content only, so that they go on where a commit
 * has been rejected. They check nothing.
 */

import { headedLimits } from '../fixtures/core-lab.ts';
import { Random } from '../random.ts';
import type { Draft } from './draft.ts';
import type { Life } from './life.ts';
import type { LifeSettings } from './life-settings.ts';

export interface History {
  readonly name: string;
  readonly settings: LifeSettings;
  run(life: Life): Promise<void>;
}

const kibibyte = 1024;
const mebibyte = kibibyte * kibibyte;

/** Opens, and does what only leads up to the subject. */
async function from(life: Life, before?: () => Promise<unknown>): Promise<void> {
  await life.leadUp(async () => {
    await life.open();
    await before?.();
  });
}

function lengths(count: number, length = 40): number[] {
  return Array.from({ length: count }, (_, at) => length + (at % 5) * 9);
}

/** Archives the oldest values, and frees them with the next batch. */
async function replaceOldest(life: Life, count: number): Promise<void> {
  await life.commit((draft) => {
    draft.archive(...life.live.slice(0, count));
    for (const length of lengths(count)) draft.push(length);
  });
  await life.checkpoint();
}

export const histories: readonly History[] = [
  {
    name: 'first creation',
    settings: {},
    async run(life) {
      await life.open();
      await life.close();
    },
  },
  {
    name: 'one commit',
    settings: {},
    async run(life) {
      await from(life);
      await life.push(100, 700, 5000);
    },
  },
  {
    name: 'group commit',
    settings: { settleBytes: 2 * kibibyte },
    async run(life) {
      await from(life, () => life.push(60, 61));
      for (let round = 0; round < 4; round++) {
        const first = life.draft();
        first.push(900);
        const commits = [first.commit()];
        await undefined;
        for (let session = 0; session < 4; session++) {
          const draft = life.draft();
          draft.push(30 + session);
          if (session === 2) draft.archive(...life.live.slice(0, 1));
          if (session === 3) draft.setHeader(draft.push(20));
          commits.push(draft.commit());
          if (session === 1) for (let hop = 0; hop < 6; hop++) await undefined;
        }
        await Promise.all(commits);
      }
    },
  },
  {
    name: 'archive, checkpoint, reuse',
    settings: { settleBytes: 2 * kibibyte },
    async run(life) {
      await from(life, () => life.push(...lengths(30)));
      for (let round = 0; round < 5; round++) await replaceOldest(life, 12);
    },
  },
  {
    name: 'embedded header',
    settings: { settleBytes: 2 * kibibyte },
    async run(life) {
      await from(life);
      for (let round = 0; round < 8; round++) {
        await life.commit((draft) => {
          const old = life.store.embeddedHeader;
          draft.setHeader(round % 4 === 3 ? null : draft.push(200 + round));
          if (old !== undefined && round % 2 === 1) draft.archive(old);
        });
      }
    },
  },
  {
    name: 'roll-over of the commit log',
    settings: { settleBytes: 8 * kibibyte },
    async run(life) {
      // A lane of the first segment has 64 sectors; the next segment is made when half are used.
      const pushes = async (count: number): Promise<void> => {
        for (let batch = 0; batch < count; batch++) await life.push(30 + (batch % 7));
      };
      await from(life, () => pushes(60));
      await pushes(10);
      await life.leadUp(() => pushes(54));
      await pushes(8);
      // Both segments are freed but for the end of the second, and used for something else.
      await life.checkpoint();
      await pushes(9);
      await life.push(30_000, 60_000);
      await life.reopen();
      await pushes(2);
    },
  },
  {
    name: 'settle in chunks',
    settings: { settleBytes: 3 * kibibyte, limits: { grainsPerStratum: 16 } },
    async run(life) {
      // 16 grains make a stratum of four such values, and a map of its own for each.
      await from(life, () => life.push(...Array(140).fill(100)));
      for (let round = 0; round < 8; round++) {
        await life.commit((draft) => {
          const { live } = life;
          draft.archive(...live.filter((_, at) => at % 4 === round % 4).slice(0, 35));
          draft.push(100);
        });
        if (round % 3 === 2) await life.checkpoint();
      }
    },
  },
  {
    name: 'file growth',
    settings: { settleBytes: 4 * kibibyte },
    async run(life) {
      await from(life);
      for (let batch = 0; batch < 10; batch++) await life.push(20_000, 9000, 31_000 + batch);
    },
  },
  {
    name: 'new stratum, map and basin',
    settings: {
      settleBytes: 2 * kibibyte,
      limits: { grainsPerStratum: 64, mapsPerStratum: 2, strataPerBasin: 3, basins: 5 },
    },
    async run(life) {
      await from(life);
      for (let batch = 0; batch < 9; batch++) await life.push(...lengths(12, 90), 400 + batch * 50);
    },
  },
  {
    name: 'large values',
    settings: { settleBytes: 2 * kibibyte },
    async run(life) {
      await from(life, () => life.push(100));
      const written = life.draft();
      written.push(mebibyte + 70_000);
      const small = life.push(50);
      await Promise.all([life.put(mebibyte + 333), small, written.commit()]);
      await life.commit((draft) => draft.archive(...life.live.slice(1)));
      await life.checkpoint();
      await life.put(mebibyte + 1);
      await life.commit((draft) => draft.archive(...life.live.slice(0, 2)));
      await life.checkpoint();
      // The first close gives back the empty maps' places, the second the end of the file.
      await life.reopen();
      await life.push(20);
      await life.reopen();
    },
  },
  {
    name: 'values from streams',
    settings: { settleBytes: 2 * kibibyte },
    async run(life) {
      await from(life, () => life.push(100));
      const kept = life.draft();
      const given = life.draft();
      const streamed = Promise.all([
        kept.pushStream(mebibyte + 9000),
        kept.pushStream(600_000, 50_000),
        given.pushStream(700_000),
      ]);
      // The push below may fail before these are waited for.
      streamed.catch(() => undefined);
      await life.push(50);
      await streamed;
      given.abandon();
      await kept.commit();
      await life.commit((draft) => draft.archive(...life.live.slice(2)));
      await life.checkpoint();
      const again = life.draft();
      await again.pushStream(900_000);
      await again.commit();
      await life.reopen();
      await life.push(20);
    },
  },
  {
    name: 'records with a body of their own',
    settings: { settleBytes: 8 * kibibyte },
    async run(life) {
      await from(life);
      await life.push(...lengths(600, 20));
      // Twenty in a row, or each value that takes their place would be a write of its own.
      await life.commit((draft) => draft.archive(...life.live.filter((_, at) => at % 40 < 20)));
      await life.checkpoint();
      await life.push(...lengths(570, 15));
      for (let batch = 0; batch < 3; batch++) await life.push(10);
    },
  },
  {
    name: 'map dropped and its place used again',
    settings: { settleBytes: 2 * kibibyte },
    async run(life) {
      await from(life, () => life.push(...Array(40).fill(7900)));
      await life.commit((draft) => draft.archive(...life.live.slice(0, 33)));
      await life.checkpoint();
      for (let batch = 0; batch < 12; batch++) await life.push(50 + batch);
      for (let batch = 0; batch < 4; batch++) await life.push(30_000, 7900);
    },
  },
  {
    name: 'a map with a head',
    settings: { settleBytes: 2 * kibibyte, limits: headedLimits },
    async run(life) {
      await from(life, () => life.push(...lengths(12)));
      for (let round = 0; round < 3; round++) await replaceOldest(life, 6);
      await life.reopen();
      await life.push(33);
    },
  },
  {
    name: 'values in several places',
    settings: { settleBytes: 2 * kibibyte },
    async run(life) {
      // Six maps of one value each; every second is given back, so what is free lies apart.
      await from(life, async () => {
        for (let at = 0; at < 6; at++) await life.push(90_000 + at);
      });
      await life.commit((draft) => draft.archive(...everySecond(life.live)));
      await life.checkpoint();
      for (let batch = 0; batch < 8; batch++) await life.push(40 + batch);
      await life.push(170_000);
      await life.push(20);
      await life.commit((draft) => draft.archive(...life.live.slice(-2)));
      await life.checkpoint();
      await life.reopen();
      await life.push(100_000);
    },
  },
  {
    name: 'close and reopen',
    settings: { settleBytes: 4 * kibibyte },
    async run(life) {
      await from(life, () => life.push(...lengths(20)));
      await life.reopen();
      await life.reopen();
      for (let round = 0; round < 3; round++) {
        await replaceOldest(life, 5);
        await life.reopen();
      }
      await life.close();
    },
  },
  {
    name: 'a loop of commitSync',
    settings: { settleBytes: 2 * kibibyte },
    async run(life) {
      await from(life);
      for (let batch = 0; batch < 30; batch++) {
        const draft = life.draft();
        const { live } = life;
        draft.push(100 + batch);
        if (batch % 3 === 2) draft.archive(...live.slice(0, 2));
        if (batch % 7 === 6) draft.checkpointTo(life.expected.current.batch - 1);
        await draft.commitSync();
      }
    },
  },
];

function everySecond<T>(all: readonly T[]): T[] {
  return all.filter((_, at) => at % 2 === 0);
}

/** A history made up from a seed. */
export function randomHistory(seed: number, batches = 30): History {
  const random = new Random(seed);
  const narrow = random.chance(0.5);
  const limits = {
    grainsPerStratum: 256,
    mapsPerStratum: 1 + random.below(3),
    strataPerBasin: random.chance(0.5) ? 3 : 30,
  };
  return {
    name: `random history ${seed}`,
    settings: { settleBytes: (1 + random.below(8)) * kibibyte, ...(narrow ? { limits } : {}) },
    async run(life) {
      const choices = new Random(seed + 1);
      if (!life.isOpen) await life.open();
      for (let round = 0; round < batches; round++) await randomRound(life, choices);
    },
  };
}

async function randomRound(life: Life, random: Random): Promise<void> {
  if (random.chance(0.06)) await life.reopen();
  const commits: (Promise<unknown> | undefined)[] = [];
  const sessions = random.chance(0.3) ? 1 + random.below(4) : 1;
  for (let session = 0; session < sessions; session++) {
    const draft = life.draft();
    fillAtRandom(life, draft, random);
    const sync = sessions === 1 && random.chance(0.4);
    commits.push(sync ? draft.commitSync() : draft.commit());
    if (random.chance(0.3)) for (let hop = random.below(8); hop > 0; hop--) await undefined;
  }
  await Promise.all(commits);
}

function fillAtRandom(life: Life, draft: Draft, random: Random): void {
  const values = random.chance(0.1) ? 60 + random.below(200) : random.below(8);
  for (let at = 0; at < values; at++) {
    const longest = random.chance(0.1) ? 40_000 : 300;
    draft.push(values > 8 ? 10 + (at % 7) : random.below(longest));
  }
  const { live, expected } = life;
  if (random.chance(0.5)) {
    const share = random.next();
    draft.archive(...live.filter(() => random.chance(share)).slice(0, 80));
  }
  const { batch, checkpoint } = expected.current;
  if (random.chance(0.3) && batch > checkpoint) {
    draft.checkpointTo(checkpoint + 1 + random.below(batch - checkpoint));
  }
  if (random.chance(0.2)) {
    const own = draft.work.operations.find(({ operation }) => operation === 'allocate');
    draft.setHeader(own === undefined || random.chance(0.2) ? null : own.id);
  }
}
