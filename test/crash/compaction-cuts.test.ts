/**
 * A power cut at every operation of stores that are compacted, with many fates of what was not
 * synced; each time the store is reopened and held against what it should have.
 */

import { afterAll, describe, expect, it, vi } from 'vitest';
import { crashScale, takingTurns, ticking } from '../support/crash-scale.ts';
import { SimulatedDisk } from '../support/disks/simulated-disk.ts';
import { compactions } from '../support/lives/compaction-histories.ts';
import { cutEverywhere } from '../support/lives/cuts.ts';
import { Life } from '../support/lives/life.ts';
import { acknowledgedBefore, survives } from '../support/lives/trial.ts';

const bounds = { singles: 2 * crashScale, randoms: 2 * crashScale };
const stride = Math.ceil(4 / crashScale);
const timeout = 300_000;
let cuts = 0;

describe('a power cut at any operation of a compaction and of what follows', () => {
  ticking(vi);
  takingTurns(vi);

  it.each(compactions.map((history) => [history.name, history] as const))(
    '%s',
    async (name, history) => {
      const life = new Life(new SimulatedDisk(), history.settings);
      await history.run(life);
      const tried = await cutEverywhere(life, { bounds, stride, name }, (state, at) =>
        survives(state, life, acknowledgedBefore(life, at)),
      );
      cuts += tried;
      expect(tried).toBeGreaterThan(15);
    },
    timeout,
  );

  afterAll(() => {
    console.log(`power cuts tried: ${cuts}`);
  });
});
