/**
 * The strict count of a stratum: it notices a counter that differs from the marks, and only then.
 */

import { describe, expect, it } from 'vitest';
import { Recount } from '../../../src/store/grains/recount.ts';
import { Stratum } from '../../../src/store/grains/stratum.ts';
import { clearRun, setRun } from '../../../src/store/marks/bit-runs.ts';
import { checks } from '../../../src/util/assert.ts';
import { PagedMemory } from '../../support/disks/paged-memory.ts';
import { empty } from '../../support/oracles/stratum-pair.ts';

/** A map of two mark pages with two values, one of them archived, and a reservation. */
function stratumWithValues(): Stratum {
  const stratum = new Stratum({ basin: 0, number: 0, durable: true }, empty, new PagedMemory());
  stratum.addMap({ firstIndex: 0, grains: 20_000, page: 100, further: [] }, true);
  for (const change of ['allocate', 'archive'] as const) {
    for (const index of change === 'allocate' ? [0, 17_000] : [0]) {
      if (change === 'allocate') expect(stratum.reserveAt(index, 5)).toBe(true);
      stratum.publish(change, { basin: 0, stratum: 0, index, count: 5, length: 100 });
    }
  }
  expect(stratum.reserveAt(50, 7)).toBe(true);
  return stratum;
}

it('strict checks are on in tests', () => {
  expect(checks.strict).toBe(true);
});

describe('a count', () => {
  it('finds nothing in a sound stratum, with pages that are loaded and that are not', () => {
    const stratum = stratumWithValues();
    new Recount(stratum).now();
    const memory = new PagedMemory();
    memory.settle(stratum, 1);
    const again = new Stratum({ basin: 0, number: 0, durable: true }, stratum.entry(), memory);
    new Recount(again).now();
    expect(again.find(17_000)?.page.loaded).toBe(true);
    new Recount(again).now();
  });

  it.each(['values', 'archivedValues', 'allocatedGrains', 'totalGrains'] as const)(
    'finds that the %s of a stratum are wrong',
    (counter) => {
      const stratum = stratumWithValues();
      Object.defineProperty(stratum, counter, { value: stratum[counter] + 1 });
      expect(() => new Recount(stratum).now()).toThrow('are counted');
    },
  );

  it('finds that a map counts grains that are not committed, or not taken', () => {
    for (const count of ['countCommitted', 'countTaken'] as const) {
      const stratum = stratumWithValues();
      stratum.maps[0]?.[count](1);
      expect(() => new Recount(stratum).now()).toThrow('grains of a map');
    }
  });

  it('finds a grain that is taken by nothing, and one that is not taken by its value', () => {
    for (const [run, at] of [
      [setRun, 900],
      [clearRun, 2],
    ] as const) {
      const stratum = stratumWithValues();
      run(stratum.find(0)?.page.taken as Uint32Array, at, 1);
      expect(() => new Recount(stratum).now()).toThrow('taken grains of a map');
    }
  });
});
