/**
 * The maps of a stratum in order: which has a grain, and where the next begins.
 */

import { expect, it } from 'vitest';
import { GrainMap, newMapEntry } from '../../../src/store/grains/grain-map.ts';
import { MapList } from '../../../src/store/grains/map-list.ts';

function mapOf(firstIndex: number, grains: number, durable = true): GrainMap {
  return new GrainMap(newMapEntry(firstIndex, { grains, page: 50, further: [] }), 5, durable);
}

it('a map list finds the map that has a grain, in any order of queries, and none in a gap', () => {
  const maps = [mapOf(0, 10), mapOf(10, 5), mapOf(20, 1), mapOf(30, 100)];
  const list = new MapList(maps, 200);
  const owner = (index: number): GrainMap | undefined =>
    maps.find((map) => index >= map.firstIndex && index < map.firstIndex + map.grains);
  for (let round = 0; round < 3; round++) {
    for (let step = 0; step < 210; step++) {
      const index = (step * 89 * (round + 1)) % 210;
      if (list.find(index) !== owner(index)) expect(`grain ${index}`).toBe('found in its map');
    }
  }
  expect(new MapList([], 0).find(0)).toBe(undefined);
});

it('a map list adds maps only behind every map that it ever had', () => {
  const list = new MapList([mapOf(0, 10)], 40);
  for (const firstIndex of [5, 10, 39]) {
    expect(() => list.add(mapOf(firstIndex, 5))).toThrow(
      expect.objectContaining({ code: 'VARVE_INTERNAL' }),
    );
  }
  list.add(mapOf(40, 5));
  expect(list.endIndex).toBe(45);
  expect(list.remove(40)?.grains).toBe(5);
  expect(list.endIndex).toBe(45);
  expect(list.find(40)).toBe(undefined);
});

it('a map list removes the map that begins with a grain, and no other', () => {
  const list = new MapList([mapOf(0, 10), mapOf(10, 10)], 20);
  expect(list.remove(5)).toBe(undefined);
  expect(list.remove(99)).toBe(undefined);
  expect(list.remove(0)?.firstIndex).toBe(0);
  expect(list.remove(0)).toBe(undefined);
  expect(list.all.map(({ firstIndex }) => firstIndex)).toEqual([10]);
});

it('a map list ends, for batches, before the first map that is not durable', () => {
  const list = new MapList([mapOf(0, 10)], 10);
  const next = mapOf(10, 10, false);
  list.add(next);
  list.add(mapOf(25, 10, false));
  expect(list.durableEndIndex).toBe(10);
  next.becomeDurable();
  expect(list.durableEndIndex).toBe(25);
  expect(list.endIndex).toBe(35);
});
