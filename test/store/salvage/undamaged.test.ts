/**
 * A file without damage is salvaged to exactly the values that were live, whether its store was
 * closed or killed, and whether or not the log before the base still stands in free pages: many strata and basins, values that only records have, maps in several extents,
 * maps that have moved and were cut.
 */

import { describe, expect, it } from 'vitest';
import { headedLimits } from '../../support/fixtures/core-lab.ts';
import { withoutOldLog } from './damage.ts';
import { differences, type LifeSettings, salvageBytes, specimenOf } from './salvage-ground.ts';

const small = [0, 1, 20, 90, 200, 511];
const mixed = [...small, 1500, 5000, 40_000];
const large = [10, 300, 70_000, 140_000, 600_000, 1_500_000];

type Life = Omit<LifeSettings, 'seed' | 'end'>;
const lives: Readonly<Record<string, Life>> = {
  'small values, carried by records': { lengths: small, settleBytes: 1_000_000, commits: 40 },
  'values of many lengths, settled often': { lengths: mixed, settleBytes: 600, commits: 40 },
  'large values': { lengths: large, commits: 15 },
  'many strata and basins': {
    lengths: mixed.slice(0, 8),
    limits: { grainsPerStratum: 512, strataPerBasin: 3 },
    commits: 40,
  },
  'maps that move': { lengths: mixed, moves: true, commits: 60 },
  'large values that move': { lengths: large, moves: true, commits: 30 },
  'a long log': { lengths: small, settleBytes: 2000, commits: 100 },
  'maps with a head': { lengths: mixed, limits: headedLimits, moves: true, commits: 40 },
  'nothing freed': { lengths: mixed, checkpoints: false, moves: true, commits: 30 },
};

describe.each(Object.entries(lives))('%s', (_, life) => {
  for (const end of ['closed', 'killed'] as const) {
    it.each([1, 2])(`are salvaged from a ${end} store, seed %i`, async (seed) => {
      const specimen = await specimenOf({ ...life, seed, end });
      for (const file of [specimen.bytes, withoutOldLog(specimen.bytes)]) {
        const salvaged = await salvageBytes(file, specimen);
        expect(differences(specimen, salvaged)).toEqual({ missing: [], other: [], extra: [] });
        const { report } = salvaged;
        expect(report).toMatchObject({
          values: specimen.live.size,
          lostCount: 0,
          lost: [],
          unlistedCount: 0,
          unreadable: [],
          embeddedHeader: specimen.header,
        });
        let bytes = 0;
        for (const value of specimen.live.values()) bytes += value.length;
        expect(report.bytes).toBe(bytes);
        expect(salvaged.header).toBe(specimen.header);
      }
    });
  }
});
