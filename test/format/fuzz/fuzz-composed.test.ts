/**
 * Stores made up of structures that are sound each for itself and fit together by chance: places
 * and lengths beyond every file, batches out of any order, maps of millions of grains.
 *
 * Opening gives a store or the right kind of error, in memory that the length of the file bounds;
 * so do reading, verification and closing.
 */

import fc from 'fast-check';
import { afterAll, expect, it } from 'vitest';
import { crashScale } from '../../support/crash-scale.ts';
import { type Composition, composeStore, composition, firstLanes } from './composed-store.ts';
import { TrialCount, tryImage } from './store-trial.ts';

const runs = 1200 * crashScale;
/** Ends only what hangs. */
const patience = { timeout: 120_000 * crashScale };
/** Verification looks at every grain that a file claims: of more it would only take long. */
const grainsVerified = 100_000;
const count = new TrialCount();

afterAll(() => {
  console.log(`stores made up: ${count}`);
});

function grainsOf({ basins }: Composition): number {
  const maps = basins.flatMap(({ strata }) => strata.flatMap((stratum) => stratum.maps));
  return maps.reduce((sum, { grains }) => sum + grains, 0);
}

it(
  'a store made up of any structures is refused or opened, and costs no more than it has',
  patience,
  async () => {
    const property = fc.asyncProperty(composition, async (composed) => {
      const { image, ids } = composeStore(composed);
      const verifies = grainsOf(composed) <= grainsVerified;
      count.add(await tryImage(image, { ids, verifies }));
    });
    await fc.assert(property, { numRuns: runs });
  },
);

it('a store made up of structures that fit is opened', patience, async () => {
  const fitting = fc.sample(composition, 20).map((composed) => {
    const laneSectors = firstLanes;
    const header = { ...composed.header, base: 3, checkpoint: 3, confirmed: 3, laneSectors };
    return { header, basins: [], log: { segments: [], bodies: [] }, further: [], records: [] };
  });
  for (const composed of fitting) {
    const { image, ids } = composeStore(composed);
    expect(await tryImage(image, { ids })).toBe('opened');
  }
});
