/**
 * Histories of stores that are compacted: maps, documents and log segments move, alone and beside
 * commits, and what they leave is used again.
 *
 * Invariant: as `histories.ts`. Each compaction moves something, where no call fails:
 * `compaction-histories.test.ts` holds that.
 */

import type { DiskOperation } from '../disks/simulated-disk.ts';
import { headedLimits } from '../fixtures/core-lab.ts';
import type { Draft } from './draft.ts';
import type { History } from './histories.ts';
import type { Life } from './life.ts';

const kibibyte = 1024;
const narrow = { grainsPerStratum: 256, mapsPerStratum: 3, strataPerBasin: 3 };
/** Small maps: some hundred values have several. */
const smallMaps = { mapBytesMin: 16 * kibibyte };

async function from(life: Life, before: () => Promise<unknown>): Promise<void> {
  await life.leadUp(async () => {
    await life.open();
    await before();
  });
}

function lengths(count: number, length: number): number[] {
  return Array.from({ length: count }, (_, at) => length + (at % 5) * 9);
}

/** Archives the values that `chosen` picks, the oldest first, and frees them. */
async function remove(life: Life, chosen: (at: number, of: number) => boolean): Promise<void> {
  await life.commit((draft) => {
    const { live } = life;
    draft.archive(...live.filter((_, at) => chosen(at, live.length)));
  });
  await life.checkpoint();
}

/** Values for the places that have become free, in maps that have moved too. */
async function goOn(life: Life, ...more: readonly number[]): Promise<void> {
  await life.push(...more, ...lengths(4, 60));
  await remove(life, (at) => at % 3 === 0);
  await life.push(...lengths(5, 50), 700);
}

/** Commits of all kinds, one after another, while `compacting` runs. */
async function beside(life: Life, compacting: Promise<unknown>, rounds: number): Promise<void> {
  // It may reject before it is waited for.
  compacting.catch(() => undefined);
  for (let round = 0; round < rounds; round++) {
    await life.commit((draft) => replaceSome(life, draft, round));
    if (round % 3 === 2) await life.checkpoint();
  }
  await compacting;
}

/** Sessions that push and archive whenever an operation of that kind is under way: `most` in all. */
async function beginningIn(
  life: Life,
  kind: DiskOperation['kind'],
  most: number,
  act: () => Promise<unknown>,
): Promise<void> {
  const { disk } = life;
  const { faultOf } = disk;
  const commits: Promise<unknown>[] = [];
  const commit = (): void => {
    if (!life.isOpen || commits.length >= most) return;
    const commit = life.commit((draft) => replaceSome(life, draft, commits.length));
    commit.catch(() => undefined);
    commits.push(commit);
  };
  disk.faultOf = (operation) => {
    if (operation.kind === kind) queueMicrotask(commit);
    return faultOf?.(operation);
  };
  try {
    await act();
    await Promise.all(commits);
  } finally {
    disk.faultOf = faultOf;
  }
}

function replaceSome(life: Life, draft: Draft, round: number): void {
  const { live } = life;
  const first = (round * 7) % Math.max(1, live.length);
  draft.archive(...live.slice(first, first + 2));
  draft.push(30 + round);
  draft.push(200 + round * 60);
}

export const compactions: readonly History[] = [
  {
    name: 'compaction after the oldest values are gone',
    settings: { settleBytes: 2 * kibibyte },
    async run(life) {
      await from(life, async () => {
        for (let at = 0; at < 8; at++) await life.push(...lengths(8, 80 + at * 300), 40_000 + at);
        await remove(life, (at, of) => at < of * 0.75);
      });
      await life.compact();
      await goOn(life, 30_000);
      await life.reopen();
      await life.push(20);
    },
  },
  {
    name: 'compaction that cuts maps into parts',
    settings: { settleBytes: 4 * kibibyte, limits: smallMaps },
    async run(life) {
      await from(life, async () => {
        for (let at = 0; at < 8; at++) await life.push(...lengths(60, 2000));
        await remove(life, (at, of) => at < of * 0.8 && at % 80 > 5);
      });
      await life.compact();
      await goOn(life, ...lengths(30, 2000));
      await life.compact();
      await goOn(life);
    },
  },
  {
    name: 'compaction that moves a map out of the way',
    settings: { settleBytes: 2 * kibibyte },
    async run(life) {
      await from(life, async () => {
        // Each has a map of its own. The reserve goes to the place of the first, and no later one
        // fits in that of the third.
        for (const length of [120_000, 70_000, 150_000, 400_000, 170_000, 180_000, 190_000]) {
          await life.push(length);
        }
        await remove(life, (at) => at === 0 || at === 2);
      });
      await life.compact();
      await goOn(life, 160_000);
    },
  },
  {
    name: 'two compactions, one after another',
    settings: { settleBytes: 2 * kibibyte },
    async run(life) {
      await from(life, async () => {
        for (let at = 0; at < 6; at++) await life.push(30_000 + at, 300 + at);
        await remove(life, (at) => at < 4);
      });
      await life.compact();
      // What the first has freed is used, what it moved goes back to where it was.
      await life.push(25_000, 35_000);
      await remove(life, (at) => at < 6);
      await life.compact();
      await life.push(20_000, 30);
      await remove(life, (at) => at % 2 === 0);
      await life.compact();
      await goOn(life);
    },
  },
  {
    name: 'compaction of maps in several places',
    settings: { settleBytes: 2 * kibibyte },
    async run(life) {
      await from(life, async () => {
        for (let at = 0; at < 6; at++) await life.push(90_000 + at);
        await remove(life, (at) => at % 2 === 0);
        for (let batch = 0; batch < 8; batch++) await life.push(40 + batch);
        await life.push(170_000);
        await life.push(20);
        await remove(life, (at) => at < 2);
      });
      await life.compact();
      await goOn(life, 100_000);
      await life.reopen();
    },
  },
  {
    name: 'compaction of a map with a head',
    settings: { settleBytes: 2 * kibibyte, limits: headedLimits },
    async run(life) {
      await from(life, async () => {
        await life.push(400_000, 300_000);
        await life.push(...lengths(12, 40));
        await remove(life, (at) => at < 2);
      });
      await life.compact();
      await goOn(life);
      await life.reopen();
      await life.push(33);
    },
  },
  {
    name: 'compaction of documents and of the log',
    settings: { settleBytes: 2 * kibibyte },
    async run(life) {
      await from(life, async () => {
        await life.push(200_000, 150_000);
        // The log goes on in segments behind the large values, and keeps all of them.
        for (let batch = 0; batch < 140; batch++) await life.push(20 + (batch % 7));
        await remove(life, (at) => at < 2);
        for (let batch = 0; batch < 70; batch++) await life.push(20 + (batch % 7));
      });
      await life.compact();
      await life.push(30, 40);
      await life.checkpoint();
      await goOn(life, 20_000);
      await life.reopen();
      await life.push(31);
    },
  },
  {
    name: 'compaction in narrow structures',
    settings: { settleBytes: 2 * kibibyte, limits: narrow },
    async run(life) {
      await from(life, async () => {
        for (let at = 0; at < 6; at++) await life.push(...lengths(20, 90 + at * 40));
        await remove(life, (at, of) => at < of * 0.7);
      });
      await life.compact();
      await goOn(life);
    },
  },
  {
    name: 'compaction beside commits',
    settings: { settleBytes: 3 * kibibyte },
    async run(life) {
      await from(life, async () => {
        for (let at = 0; at < 8; at++) await life.push(...lengths(8, 80 + at * 300), 40_000 + at);
        await remove(life, (at, of) => at < of * 0.6);
      });
      await beside(life, life.compact(), 14);
      await goOn(life, 30_000);
    },
  },
  {
    name: 'compaction beside commits whose values the log carries',
    settings: { settleBytes: 64 * kibibyte, limits: { ...smallMaps, carriedBytes: 4096 } },
    async run(life) {
      await from(life, async () => {
        await life.push(100_000);
        for (let at = 0; at < 8; at++) await life.push(...lengths(60, 1000));
        await remove(life, (at, of) => at < of * 0.6 && at % 80 !== 5);
      });
      await beside(life, life.compact(), 10);
      await life.compact();
      await goOn(life);
    },
  },
  {
    name: 'compaction beside a settle in chunks',
    // 16 grains make a stratum of four such values, and a map of its own for each.
    settings: { settleBytes: 3 * kibibyte, limits: { grainsPerStratum: 16 } },
    async run(life) {
      await from(life, async () => {
        await life.push(...Array(640).fill(100));
        await remove(life, (at) => at < 320);
      });
      const compacting = life.compact();
      compacting.catch(() => undefined);
      for (let round = 0; round < 6; round++) {
        await life.commit((draft) => {
          const { live } = life;
          draft.archive(...live.filter((_, at) => at % 6 === round % 4).slice(0, 45));
          draft.push(100);
        });
      }
      await compacting;
      await life.push(100);
    },
  },
  ...(['datasync', 'write'] as const).map((kind) => ({
    name: `compaction beside commits that begin in each ${kind}`,
    settings: { settleBytes: 3 * kibibyte, limits: smallMaps, intrudes: true },
    async run(life: Life) {
      await from(life, async () => {
        await life.push(100_000);
        for (let at = 0; at < 6; at++) await life.push(...lengths(40, 300), 30_000 + at);
        await remove(life, (at, of) => at < of * 0.6 && at % 50 !== 5);
      });
      await beginningIn(life, kind, 25, () => life.compact());
      await goOn(life, 30_000);
    },
  })),
  {
    name: 'compaction beside sessions that hold values',
    settings: { settleBytes: 2 * kibibyte },
    async run(life) {
      await from(life, async () => {
        for (let at = 0; at < 6; at++) await life.push(30_000 + at, ...lengths(6, 300));
        await remove(life, (at, of) => at < of / 2);
      });
      // Claims and reservations are older than the moves, and committed after them.
      const [archiving, other] = [life.draft(), life.draft()];
      archiving.archive(...life.live.slice(0, 3), ...life.live.slice(-3));
      other.archive(...life.live.slice(4, 6));
      await life.compact();
      other.abandon();
      const pushing = life.draft();
      for (const length of [300, 350, 30_010]) pushing.push(length);
      await archiving.commit();
      await life.checkpoint();
      await life.compact();
      await pushing.commit();
      await life.checkpoint();
      await life.compact();
      await goOn(life);
    },
  },
];
