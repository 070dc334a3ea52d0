/**
 * Bulk: what large batches write into a file that grows, and into space that was freed. Each byte
 * once: no zeros ahead of it, the file is made longer instead.
 */

import { afterAll, describe, expect, it } from 'vitest';
import type { GrainId, Store } from '../../src/index.ts';
import { patternOf } from '../support/bytes.ts';
import type { Counts } from '../support/disks/wrapped-file-system.ts';
import { check } from '../support/fixtures/store-checks.ts';
import { CountedDisk } from './counted-disk.ts';

const kibibyte = 1024;
const mebibyte = kibibyte * kibibyte;
/** Bytes written for each byte of the values: what is left is records, settles, and grains' ends. */
const bytesMost = 1.1;

interface Batches {
  readonly name: string;
  /** Lengths of the values of one batch. */
  readonly lengths: readonly number[];
  /**
   * Regions of one, on the average, at most, in a file that grows and in space that was freed: a
   * batch goes on in the next grain map, and large values have maps to themselves.
   */
  readonly regions: readonly [number, number];
}

const kinds: readonly Batches[] = [
  { name: '160 KiB of 10 KiB values', lengths: alike(16, 10 * kibibyte), regions: [2.6, 3.5] },
  { name: '1 MiB of 10 KiB values', lengths: alike(102, 10 * kibibyte), regions: [4.5, 10] },
  { name: '1 MiB of 100 KiB values', lengths: alike(10, 100 * kibibyte), regions: [8, 12] },
  // One region more in 24 batches: the reserve for a full disk grows with the file.
  { name: '1 MiB in one value', lengths: [mebibyte], regions: [2.2, 2.1] },
];

function alike(count: number, length: number): number[] {
  return Array<number>(count).fill(length);
}

const told: string[] = [];

async function commit(store: Store, lengths: readonly number[]): Promise<GrainId[]> {
  const session = store.session();
  const ids = lengths.map((length) => session.push(patternOf(length)));
  await session.commit();
  return ids;
}

/** Says what a batch of so many bytes costs, and holds it within the bounds. */
function expectWithin(
  { syncs, bytesWritten, regions }: Counts,
  of: { readonly what: string; readonly batches: number; readonly payload: number },
  regionsMost: number,
): void {
  const bytes = bytesWritten / (of.batches * of.payload);
  const average = regions / of.batches;
  told.push(`${of.what}: ${bytes.toFixed(3)} x its bytes, ${average.toFixed(2)} regions`);
  expect(syncs).toBe(of.batches);
  expect(bytes).toBeLessThanOrEqual(bytesMost);
  expect(average).toBeLessThanOrEqual(regionsMost);
}

describe('batches of', () => {
  it.each(kinds.map((kind) => [kind.name, kind] as const))(
    '%s are written once, in a file that grows and in space that was freed',
    async (name, { lengths, regions }) => {
      const disk = new CountedDisk();
      const store = await disk.open();
      const payload = lengths.reduce((sum, length) => sum + length, 0);
      const batches = Math.floor((24 * mebibyte) / payload);
      const ids: GrainId[] = [];
      const growing = await disk.during(async () => {
        for (let batch = 0; batch < batches; batch++) ids.push(...(await commit(store, lengths)));
      });
      expectWithin(growing, { what: `${name}, growing`, batches, payload }, regions[0]);
      const { fileBytes } = store.statistics();

      const session = store.session();
      for (const id of ids) session.archive(id);
      await store.checkpointTo(await session.commit());
      // Maps that one value had to itself are given back, and their places free, a settle later.
      for (let batch = 0; batch < 12; batch++) await store.put(patternOf(10));
      const again = Math.floor(batches / 2);
      const reusing = await disk.during(async () => {
        for (let batch = 0; batch < again; batch++) await commit(store, lengths);
      });
      const reused = { what: `${name}, freed space`, batches: again, payload };
      expectWithin(reusing, reused, regions[1]);
      // Empty maps are given back with a settle that comes due meanwhile: their places wait for it.
      expect(store.statistics().fileBytes).toBeLessThanOrEqual(fileBytes * 1.2);
      await check.sound(store);
      await store.close();
    },
  );

  afterAll(() => {
    console.log(told.join('\n'));
  });
});
