/**
 * The maps of a copy, decided from values at random: every value is in one map under its index, no
 * map covers grains that no map of the source has, and the numbers of maps keep their bound.
 */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { grainsPerMarkPage, grainsPerValueMax, markValue } from '../../../src/format/layout.ts';
import { MarkScan } from '../../../src/store/marks/mark-scan.ts';
import { type CutMap, MapCuts, type SourceMap } from '../../../src/store/moves/map-cuts.ts';
import { Random } from '../../support/random.ts';

interface Run {
  readonly index: number;
  readonly count: number;
}

interface Stratum {
  readonly grainExp: number;
  readonly mapsMax: number;
  readonly maps: readonly (SourceMap & { readonly values: readonly Run[] })[];
}

function cut({ grainExp, mapsMax, maps }: Stratum): CutMap[] {
  const cuts: CutMap[] = [];
  const cutter = new MapCuts({ grainExp, mapsMax, maps }, (map) => cuts.push(map));
  for (const map of maps) {
    cutter.begin(map);
    for (const { index, count } of map.values) cutter.add(index, count);
  }
  cutter.end();
  return cuts;
}

/** The values in the marks of the maps. */
function valuesIn(cuts: readonly CutMap[]): Run[] {
  return cuts.flatMap(({ firstIndex, grains, marks }) =>
    marks.flatMap((page, ordinal) => {
      const start = ordinal * grainsPerMarkPage;
      const scan = new MarkScan(page, Math.min(grainsPerMarkPage, grains - start));
      const found: Run[] = [];
      while (scan.next()) {
        expect(scan.mark).toBe(markValue);
        found.push({ index: firstIndex + start + scan.at, count: scan.count });
      }
      return found;
    }),
  );
}

function expectSound(stratum: Stratum): CutMap[] {
  const cuts = cut(stratum);
  expect(valuesIn(cuts)).toEqual(
    stratum.maps.flatMap(({ values }) => values.map(({ index, count }) => ({ index, count }))),
  );
  let end = 0;
  for (const { firstIndex, grains, marks, values, liveGrains } of cuts) {
    expect(firstIndex).toBeGreaterThanOrEqual(end);
    end = firstIndex + grains;
    expect(marks.length).toBe(Math.ceil(grains / grainsPerMarkPage));
    const found = valuesIn([{ firstIndex, grains, marks, values, liveGrains }]);
    expect(values).toBe(found.length);
    expect(liveGrains).toBe(found.reduce((sum, { count }) => sum + count, 0));
    // Every grain of it is one of the source.
    let covered = 0;
    for (const map of stratum.maps) {
      const from = Math.max(firstIndex, map.firstIndex);
      covered += Math.max(0, Math.min(end, map.firstIndex + map.grains) - from);
    }
    expect(covered).toBe(grains);
  }
  expect(cuts.length).toBeLessThanOrEqual(Math.max(stratum.mapsMax, stratum.maps.length));
  return cuts;
}

/** A stratum with values at random; of each page of marks none, few or all grains are live. */
function stratumOf(seed: number, grainExp: number, mapsMax: number): Stratum {
  const random = new Random(seed);
  const maps: Stratum['maps'][number][] = [];
  let next = 0;
  for (let at = 1 + random.below(Math.min(12, mapsMax)); at > 0; at--) {
    if (random.chance(0.3)) next += random.below(random.chance(0.5) ? 300 : 50_000);
    const pages = random.chance(0.2) ? 1 + random.below(9) : 1;
    const grains = random.chance(0.3)
      ? 1 + random.below(255)
      : pages * grainsPerMarkPage - random.below(300);
    const values: Run[] = [];
    for (let page = 0; page < grains; page += grainsPerMarkPage) {
      const end = Math.min(grains, page + grainsPerMarkPage);
      const density = [0, 0.02, 0.5, 1][random.below(4)] as number;
      const longest = random.chance(0.5) ? 4 : grainsPerValueMax;
      for (let from = page; from < end; ) {
        const count = Math.min(end - from, 1 + random.below(longest));
        if (random.chance(density)) values.push({ index: next + from, count });
        from += count;
        if (random.chance(0.01)) from += random.below(3000);
      }
    }
    maps.push({ firstIndex: next, grains, values });
    next += grains;
  }
  return { grainExp, mapsMax, maps };
}

describe('the maps of a copy', () => {
  it('have all values, and only grains of the source', () => {
    fc.assert(
      fc.property(
        fc.nat(),
        fc.constantFrom(5, 7, 11, 15, 19),
        fc.constantFrom(1, 2, 4, 8, 64, 16_384),
        (seed, grainExp, mapsMax) => {
          expectSound(stratumOf(seed, grainExp, mapsMax));
        },
      ),
      { numRuns: 300 },
    );
  });

  it('begin and end at values, where free grains cost more than a map', () => {
    const map = { firstIndex: 1000, grains: grainsPerMarkPage };
    const values = [
      { index: 1100, count: 4 },
      { index: 1104, count: 4 },
      { index: 1300, count: 4 },
      { index: 9000, count: 4 },
    ];
    const cuts = expectSound({ grainExp: 5, mapsMax: 100, maps: [{ ...map, values }] });
    const places = cuts.map(({ firstIndex, grains }) => [firstIndex, grains]);
    expect(places).toEqual([
      [1100, 204],
      [9000, 4],
    ]);
  });

  it('join maps of one value each, unless the value is long', () => {
    const ownMaps = (grainExp: number): Stratum => ({
      grainExp,
      mapsMax: 100,
      maps: Array.from({ length: 10 }, (_, at) => ({
        firstIndex: at * 129,
        grains: 129,
        values: [{ index: at * 129, count: 129 }],
      })),
    });
    expect(expectSound(ownMaps(9))).toHaveLength(1);
    expect(expectSound(ownMaps(13))).toHaveLength(10);
    expect(expectSound({ ...ownMaps(13), mapsMax: 10 })).toHaveLength(1);
  });

  it('are those of the source where a stratum has no room for more', () => {
    const maps = [0, 1].map((at) => {
      const firstIndex = at * 9 * grainsPerMarkPage;
      const values = [1, 2, 7].map((page) => {
        return { index: firstIndex + page * grainsPerMarkPage + 15_900, count: 200 };
      });
      return { firstIndex, grains: 9 * grainsPerMarkPage, values };
    });
    const cuts = expectSound({ grainExp: 5, mapsMax: 4, maps });
    expect(cuts.map(({ firstIndex, marks }) => [firstIndex, marks.length])).toEqual([
      [grainsPerMarkPage, 2],
      [7 * grainsPerMarkPage, 1],
      [10 * grainsPerMarkPage, 7],
    ]);
  });
});
