/**
 * One stratum against plain arrays: random reservations, values, archives, frees, maps added, given
 * back and restored, settles and reopenings.
 */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { grainsPerMarkPage } from '../../../src/format/layout.ts';
import type { GrainRun } from '../../../src/format/log-record.ts';
import { Stratum } from '../../../src/store/grains/stratum.ts';
import { loadedPageBytes } from '../../../src/store/marks/mark-page.ts';
import { PagedMemory } from '../../support/disks/paged-memory.ts';
import {
  empty,
  type LiveRun,
  place,
  runOf,
  StratumPair,
} from '../../support/oracles/stratum-pair.ts';

const internal = expect.objectContaining({ code: 'VARVE_INTERNAL' });

const count = fc.oneof(fc.integer({ min: 1, max: 6 }), fc.integer({ min: 1, max: 255 }));
const command = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({ kind: fc.constant('reserve' as const), count, pick: fc.nat() }),
  },
  {
    weight: 6,
    arbitrary: fc.record({ kind: fc.constant('commit' as const), count, pick: fc.nat() }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constant('archive' as const), count, pick: fc.nat() }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constant('free' as const), count, pick: fc.nat() }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constantFrom(
        'release' as const,
        'reserve at' as const,
        'give back' as const,
        'restore' as const,
        'settle' as const,
        'reopen' as const,
      ),
      count,
      pick: fc.nat(),
    }),
  },
);
type Command = typeof command extends fc.Arbitrary<infer T> ? T : never;

function pickRun(pair: StratumPair, state: LiveRun['state'], pick: number): LiveRun | undefined {
  const runs = pair.live.filter((run) => run.state === state);
  return runs[pick % Math.max(1, runs.length)];
}

function reserve(pair: StratumPair, wanted: number, pick: number): void {
  let index = pair.real.reserve(wanted);
  expect(index >= 0).toBe(pair.hasRoom(wanted));
  if (index < 0) {
    pair.addMap(pick % 19 === 0 ? 17_000 : wanted + (pick % 300), pick % 3);
    index = pair.real.reserve(wanted);
  }
  expect(pair.fits(index, wanted)).toBe(true);
  pair.take(index, wanted);
}

function giveBack(pair: StratumPair, pick: number): void {
  const free = pair.real.totalGrains - pair.live.reduce((sum, run) => sum + run.count, 0);
  const found = pair.real.emptyMaps();
  expect(found.reduce((sum, { grains }) => sum + grains, 0)).toBeLessThanOrEqual(free);
  for (const map of found) {
    const plain = pair.maps.find(({ firstIndex }) => firstIndex === map.firstIndex);
    if (plain === undefined || plain.retired) continue;
    const end = map.firstIndex + map.grains;
    expect(pair.live.some(({ index }) => index >= map.firstIndex && index < end)).toBe(false);
    expect(pair.real.retire(map)).toBe(true);
    expect(pair.real.retire(map)).toBe(false);
    plain.retired = true;
    if (pick % 2 === 0) continue;
    expect(pair.real.dropMap(map.firstIndex)).toBe(map);
    expect(pair.real.find(map.firstIndex)).toBe(undefined);
    pair.maps.splice(pair.maps.indexOf(plain), 1);
  }
}

function step(pair: StratumPair, { kind, count: wanted, pick }: Command): void {
  const { real } = pair;
  switch (kind) {
    case 'reserve':
      reserve(pair, wanted, pick);
      return;
    case 'commit': {
      const run = pickRun(pair, 'reserved', pick);
      if (run === undefined) return;
      real.publish('allocate', run);
      run.state = 'value';
      return;
    }
    case 'archive': {
      const run = pickRun(pair, 'value', pick);
      if (run === undefined) return;
      real.find(run.index);
      real.claim(run.index);
      real.publish('archive', run);
      expect(real.isClaimed(run.index)).toBe(false);
      run.state = 'archived';
      return;
    }
    case 'free':
    case 'release': {
      const run = pickRun(pair, kind === 'free' ? 'archived' : 'reserved', pick);
      if (run === undefined) return;
      if (kind === 'free') real.publish('free', run);
      else real.release(run.index, run.count);
      pair.live.splice(pair.live.indexOf(run), 1);
      return;
    }
    case 'reserve at': {
      const index = pick % (real.endIndex + 20);
      const fits = pair.fits(index, wanted);
      expect(real.reserveAt(index, wanted)).toBe(fits);
      if (fits) pair.take(index, wanted);
      return;
    }
    case 'give back':
      giveBack(pair, pick);
      return;
    case 'restore': {
      const plain = pair.maps.find(({ retired }) => retired);
      if (plain === undefined) return;
      plain.retired = false;
      real.restore(real.mapOf(plain.firstIndex));
      return;
    }
    case 'settle':
      pair.settle();
      return;
    case 'reopen':
      pair.reopen();
      return;
  }
}

describe('a stratum', () => {
  it.each([
    ['with all of its mark pages in memory', Number.POSITIVE_INFINITY],
    ['with three mark pages in memory, and those that cannot go', 3 * loadedPageBytes],
    ['with only the mark pages in memory that cannot go', 0],
  ])('agrees with plain lists of maps and runs after any history, %s', (_, markBytes) => {
    fc.assert(
      fc.property(fc.array(command, { maxLength: 120 }), (commands) => {
        const pair = new StratumPair(markBytes);
        for (const one of commands) step(pair, one);
        pair.check();
        pair.reopen();
        pair.check();
        // Whatever it found when it was opened, it finds every run that is left.
        for (const wanted of [255, 100, 20, 3, 1]) {
          expect(pair.real.reserve(wanted) >= 0).toBe(pair.hasRoom(wanted));
          pair.reopen();
        }
      }),
      { numRuns: 120 },
    );
  });

  it('never lets a value cross from one mark page to the next', () => {
    const pair = new StratumPair();
    pair.addMap(2 * grainsPerMarkPage + 100, 0);
    const seen = new Set<number>();
    for (let index = pair.real.reserve(255); index >= 0; index = pair.real.reserve(255)) {
      const pages = [index, index + 254].map((at) => Math.floor(at / grainsPerMarkPage));
      expect(pages[0]).toBe(pages[1]);
      seen.add(pages[0] as number);
    }
    expect(seen).toEqual(new Set([0, 1]));
    expect(pair.real.reserveAt(grainsPerMarkPage - 1, 2)).toBe(false);
  });

  it('finds a freed run before a map has to be added', () => {
    const pair = new StratumPair();
    pair.addMap(1000, 0);
    const runs = Array.from({ length: 20 }, () => runOf(pair.real.reserve(50), 50));
    for (const run of runs) pair.real.publish('allocate', run);
    expect(pair.real.reserve(1)).toBe(-1);
    const freed = runs[7] as GrainRun;
    pair.real.publish('archive', freed);
    pair.real.publish('free', freed);
    expect(pair.real.reserve(51)).toBe(-1);
    expect(pair.real.reserve(50)).toBe(freed.index);
  });

  it('finds a run again that was only reserved when the process ended', () => {
    const pair = new StratumPair();
    pair.addMap(1000, 0);
    const value = runOf(pair.real.reserve(100), 100);
    pair.real.publish('allocate', value);
    while (pair.real.reserve(255) >= 0);
    while (pair.real.reserve(1) >= 0);
    // As far as a settle knows, everything is taken; the next opening knows better.
    pair.settle();
    const reopened = new Stratum(place, pair.real.entry(), pair.memory);
    expect(reopened.reserve(255)).toBeGreaterThanOrEqual(0);
  });

  it('opens a map when a grain of it is needed, and not before', () => {
    const pair = new StratumPair();
    for (let map = 0; map < 10; map++) {
      pair.addMap(400, 0);
      for (let index = pair.real.reserve(40); index >= 0; index = pair.real.reserve(40)) {
        pair.real.publish('allocate', runOf(index, 40));
      }
    }
    pair.settle();
    const reopened = new Stratum(place, pair.real.entry(), pair.memory);
    pair.memory.reads = 0;
    expect(reopened.reserve(1)).toBe(-1);
    expect(pair.memory.reads).toBe(0);
    expect(reopened.find(1200)?.page.countAt(0)).toBe(40);
    expect(pair.memory.reads).toBe(1);
    expect(reopened.find(99_999)).toBe(undefined);
    expect(pair.memory.reads).toBe(1);
  });

  it('drops its empty maps, the last in the file first, while as many grains stay free', () => {
    const pair = new StratumPair();
    for (const grains of [300, 100, 100, 500]) pair.addMap(grains, 0);
    const [first, second, third, last] = [...pair.real.maps];
    expect(pair.real.emptyMaps()).toEqual([last, third, second]);
    pair.real.reserveAt(400, 1);
    expect(pair.real.emptyMaps()).toEqual([second, first]);
    pair.real.reserveAt(0, 1);
    expect(pair.real.emptyMaps()).toEqual([second]);
    expect(first?.takenGrains).toBe(1);
  });

  it('takes nothing from a map that is being given back, until it is restored', () => {
    const pair = new StratumPair();
    pair.addMap(100, 0);
    pair.addMap(100, 0);
    const [, map] = pair.real.emptyMaps().length > 0 ? pair.real.maps : [];
    if (map === undefined) throw new Error('a map can be given back');
    expect(pair.real.retire(map)).toBe(true);
    expect(pair.real.retire(map)).toBe(false);
    expect(pair.real.reserveAt(150, 1)).toBe(false);
    expect(pair.real.reserve(100)).toBe(0);
    expect(pair.real.reserve(1)).toBe(-1);
    pair.real.restore(map);
    expect(pair.real.reserveAt(150, 1)).toBe(true);
    expect(pair.real.reserve(50)).toBe(100);
  });

  it('keeps a map that no batch has made durable, and does not name it', () => {
    const pair = new StratumPair();
    pair.addMap(100, 0);
    pair.real.addMap({ firstIndex: 100, grains: 100, page: 900, further: [] }, false);
    expect(pair.real.emptyMaps().length).toBe(1);
    expect(pair.real.entry().maps.length).toBe(1);
    expect(pair.real.entry().endIndex).toBe(100);
    expect(pair.real.endIndex).toBe(200);
  });

  it('gives no grains of a map that one value had to itself until it was freed', () => {
    const stratum = new Stratum(place, { ...empty, grainExp: 11 }, new PagedMemory());
    const map = stratum.addMap({ firstIndex: 0, grains: 40, page: 10, further: [] }, true);
    const run = { ...place, stratum: place.number, index: stratum.reserve(40), count: 40 };
    const value = { ...run, length: 80_000 };
    stratum.publish('allocate', value);
    stratum.publish('archive', value);
    expect(stratum.publish('free', value)).toBe(map);
    expect(stratum.emptyMaps()).toEqual([]);
    stratum.restore(map);
    expect(stratum.reserve(1)).toBe(-1);
    expect(stratum.reserveAt(0, 1)).toBe(false);
    expect(stratum.dropMap(0)).toBe(map);
  });

  it('does not take a map before the end of those it ever had', () => {
    const pair = new StratumPair();
    pair.addMap(100, 0);
    pair.addMap(100, 0);
    expect(pair.real.dropMap(100)).toMatchObject({ firstIndex: 100 });
    expect(pair.real.dropMap(100)).toBe(undefined);
    expect(() =>
      pair.real.addMap({ firstIndex: 100, grains: 10, page: 5, further: [] }, true),
    ).toThrow(internal);
    pair.addMap(10, 0);
    expect(pair.real.maps.at(-1)?.firstIndex).toBe(200);
  });
});
