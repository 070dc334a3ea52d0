/**
 * Grains set aside, beside a plain set of them: which grains of a page are among them is told by
 * going through the page and the runs once.
 */

import fc from 'fast-check';
import { expect, it } from 'vitest';
import { SetAside } from '../../../src/store/grains/set-aside.ts';

const grains = 400;

/** Runs that do not touch each other's grains, in any order. */
const runsArbitrary = fc
  .array(fc.record({ gap: fc.nat(8), count: fc.integer({ min: 1, max: 12 }), turn: fc.nat() }))
  .map((pieces) => {
    let index = 0;
    const runs = pieces.map(({ gap, count, turn }) => {
      index += gap + count;
      return { index: index - count, count, turn };
    });
    return runs.sort((one, other) => one.turn - other.turn);
  });

it('the grains of a page that are set aside are found in one pass', () => {
  fc.assert(
    fc.property(runsArbitrary, fc.nat(grains), fc.nat(grains), (runs, from, count) => {
      const aside = new SetAside();
      const plain = new Set<number>();
      for (const run of runs) {
        aside.add(run.index, run.count);
        for (let at = 0; at < run.count; at++) plain.add(run.index + at);
      }
      const isAside = aside.within(from, count);
      for (let grain = from; grain < from + count; grain++) {
        expect(isAside(grain), `grain ${grain}`).toBe(plain.has(grain));
      }
    }),
  );
});
