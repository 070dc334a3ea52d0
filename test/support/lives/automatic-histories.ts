/**
 * Histories of stores with automatic compaction: a file of which much is free, and commits that take
 * the compaction along, piece by piece.
 *
 * Invariant: as `histories.ts`. A compaction ends in each of them, and has moved something.
 */

import { Random } from '../random.ts';
import type { Draft } from './draft.ts';
import { type History, randomHistory } from './histories.ts';
import type { Life } from './life.ts';
import type { LifeSettings } from './life-settings.ts';

const kibibyte = 1024;
const compacts = true;
const limits = { mapBytesMin: 16 * kibibyte };

/** A store of which most values have gone: those that are left lie at the end. */
async function thinned(life: Life, lengths: readonly number[], keeps: number): Promise<void> {
  await life.leadUp(async () => {
    await life.open();
    for (const length of lengths) await life.push(length, length + 1);
    const count = life.live.length - keeps;
    await life.commit((draft) => draft.archive(...life.live.slice(0, count)));
    await life.checkpoint();
  });
}

/** Commits of values about as long as those that are copied. */
async function goOn(life: Life, rounds: number, change: (draft: Draft, at: number) => void) {
  for (let at = 0; at < rounds; at++) {
    await life.commit((draft) => change(draft, at));
    if (at % 4 === 3) await life.checkpoint();
  }
}

/** In each third commit a value gives way to another one; the others are small. */
function replace(life: Life, length: number): (draft: Draft, at: number) => void {
  return (draft, at) => {
    draft.push(at % 3 > 0 ? 20 + at : length + at);
    const { live } = life;
    if (at % 3 === 0) draft.archive(...live.slice((at * 5) % live.length).slice(0, 1));
  };
}

function repeated(count: number, length: number): number[] {
  return Array.from({ length: count }, (_, at) => length + at);
}

export const automaticCompactions: readonly History[] = [
  {
    name: 'automatic compaction of maps of one value',
    settings: { settleBytes: 4 * kibibyte, compacts },
    async run(life) {
      await thinned(life, repeated(5, 70_000), 3);
      await goOn(life, 80, replace(life, 66_000));
      await life.reopen();
      await life.push(20);
    },
  },
  {
    name: 'automatic compaction of maps that are cut, settled seldom',
    settings: { settleBytes: 64 * kibibyte, limits, compacts },
    async run(life) {
      await thinned(life, repeated(40, 2000), 8);
      await goOn(life, 60, replace(life, 20_000));
    },
  },
  {
    name: 'automatic compaction beside values that the log carries',
    settings: { settleBytes: 3 * kibibyte, limits: { ...limits, carriedBytes: 4096 }, compacts },
    async run(life) {
      await thinned(life, repeated(40, 1500), 20);
      await goOn(life, 40, replace(life, 2500));
      await life.compact();
      await goOn(life, 8, replace(life, 2500));
    },
  },
];

/** A made-up history on a store with automatic compaction, which has much to move at its start. */
export function randomCompacted(seed: number, batches?: number): History {
  const { run, ...history } = randomHistory(seed, batches);
  const settings: LifeSettings = { ...history.settings, compacts };
  const lengths = repeated(6, 5000 + new Random(seed).below(10_000));
  return {
    ...history,
    settings,
    async run(life) {
      await thinned(life, lengths, 4);
      await run(life);
    },
  };
}
