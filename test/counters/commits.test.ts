/**
 * What one commit writes: in how many places of the file, and how many bytes.
 *
 * A small commit is one region, its record, which carries the values. Any other is two, with one
 * call each: its values side by side, and its record. More it is where values go into holes that lie apart, where they go on in the next grain map, and where a long
 * record has a body of its own. What rides on commits is for `many-commits.test.ts`, what a region
 * costs for `bench/`.
 */

import { describe, expect, it } from 'vitest';
import { logPayloadBytes, recordHeadBytes, sectorBytes } from '../../src/format/layout.ts';
import type { GrainId, Store } from '../../src/index.ts';
import { patternOf } from '../support/bytes.ts';
import { openLab } from '../support/fixtures/core-lab.ts';
import { check } from '../support/fixtures/store-checks.ts';
import { CountedDisk, grainBytes, only } from './counted-disk.ts';

const valueBytes = 100;
const value = patternOf(valueBytes);
const kibibyte = 1024;
const mebibyte = kibibyte * kibibyte;

/** At most so many bytes the sectors have of a record with `count` values pushed, or archived. */
function recordBytesMost(count: number): number {
  const body = recordHeadBytes + 64 + 8 * count;
  return Math.ceil(body / logPayloadBytes) * sectorBytes;
}

function push(store: Pick<Store, 'session'>, lengths: readonly number[]): GrainId[] {
  const session = store.session();
  const ids = lengths.map((length) =>
    session.push(length === valueBytes ? value : patternOf(length)),
  );
  session.commitSync();
  return ids;
}

function alike(count: number): number[] {
  return Array<number>(count).fill(valueBytes);
}

async function free(store: Store, ids: readonly GrainId[]): Promise<void> {
  const session = store.session();
  for (const id of ids) session.archive(id);
  await store.checkpointTo(await session.commit());
}

/** The first commit makes basin, stratum and map, and is not looked at. */
async function begun(): Promise<{ disk: CountedDisk; store: Store }> {
  const disk = new CountedDisk();
  const store = await disk.open();
  await store.put(value);
  return { disk, store };
}

describe('a commit into new space', () => {
  it.each([10, 100])('of %i values is two regions: the values, the record', async (count) => {
    const { disk, store } = await begun();
    const counts = await disk.during(() => push(store, alike(count)));
    const values = count * grainBytes(valueBytes);
    expect(counts).toMatchObject({ syncs: 1, reads: 0, writes: 2, regions: 2, truncates: 0 });
    expect(counts.bytesWritten).toBeGreaterThanOrEqual(values + sectorBytes);
    expect(counts.bytesWritten).toBeLessThanOrEqual(values + recordBytesMost(count));
    await check.sound(store);
    await store.close();
  });

  it('of some small values is one region: a record that carries them', async () => {
    const { disk, store } = await begun();
    for (const lengths of [
      [0],
      [16],
      [24],
      [100],
      [380],
      [16, 100, 50],
      Array<number>(7).fill(9),
    ]) {
      const counts = await disk.during(() => push(store, lengths));
      expect(counts).toEqual(only({ syncs: 1, writes: 1, regions: 1, bytesWritten: sectorBytes }));
    }
    await check.sound(store);
    await store.close();
  });

  it('of one value of more than 512 bytes writes its grains and one sector', async () => {
    const { disk, store } = await begun();
    for (const length of [505, 1000, 4096]) {
      const counts = await disk.during(() => push(store, [length]));
      const bytesWritten = grainBytes(length) + sectorBytes;
      expect(counts).toEqual(only({ syncs: 1, writes: 2, regions: 2, bytesWritten }));
    }
    await store.close();
  });

  it('of 1,000 values is three regions: a young store puts the body of the record elsewhere', async () => {
    const disk = new CountedDisk();
    const lab = await openLab({ fileSystem: disk.fileSystem, limits: { mapBytesMin: mebibyte } });
    push(lab, [16]);
    const counts = await disk.during(() => push(lab, alike(1000)));
    expect(counts.regions).toBe(3);
    expect(counts.bytesWritten).toBeLessThanOrEqual(
      1000 * grainBytes(valueBytes) + recordBytesMost(1000) + sectorBytes,
    );
    await lab.close();
  });

  it('of 1,000 values is two regions with the longer log segments of a file of 32 MiB', async () => {
    const disk = new CountedDisk();
    const limits = { mapBytesMin: mebibyte };
    const lab = await openLab({ fileSystem: disk.fileSystem, limits });
    const large = lab.session();
    large.push(new Uint8Array(34 * mebibyte));
    large.commitSync();
    // A lane of the first segment has 64 sectors.
    for (let batch = 0; batch < 130; batch++) push(lab, [16]);
    const counts = await disk.during(() => push(lab, alike(1000)));
    expect(counts).toMatchObject({ syncs: 1, writes: 2, regions: 2 });
    await lab.close();
  });

  it('of 64 sessions that push in turn is two regions, as of one', async () => {
    const { disk, store } = await begun();
    const counts = await disk.during(async () => {
      const sessions = Array.from({ length: 64 }, () => store.session());
      for (const session of sessions) session.push(value);
      await Promise.all(sessions.map((session) => session.commit()));
    });
    expect(counts).toMatchObject({ syncs: 1, writes: 2, regions: 2 });
    expect(counts.bytesWritten).toBeLessThanOrEqual(
      64 * grainBytes(valueBytes) + recordBytesMost(64),
    );
    await store.close();
  });
});

describe('a commit into space that was freed', () => {
  /** Sessions of so many values each, all in one map. */
  async function filled(sessions: number, count: number) {
    const { disk, store } = await begun();
    const pushed = Array.from({ length: sessions }, () => push(store, alike(count)));
    return { disk, store, pushed };
  }

  it('is one region if one value was freed there', async () => {
    const { disk, store, pushed } = await filled(8, 1);
    await free(store, pushed[3] as GrainId[]);
    const counts = await disk.during(() => push(store, alike(1)));
    expect(counts).toEqual(only({ syncs: 1, writes: 1, regions: 1, bytesWritten: sectorBytes }));
    await check.sound(store);
    await store.close();
  });

  it.each([10, 50])(
    'is two regions if %i values of one session were freed there',
    async (count) => {
      const { disk, store, pushed } = await filled(8, count);
      const freed = pushed[3] as GrainId[];
      await free(store, freed);
      const { fileBytes } = store.statistics();
      const counts = await disk.during(() => push(store, alike(count)));
      expect(store.statistics().fileBytes).toBe(fileBytes);
      const bytesWritten = count * grainBytes(valueBytes) + sectorBytes;
      expect(counts).toEqual(only({ syncs: 1, writes: 2, regions: 2, bytesWritten }));
      await check.sound(store);
      await store.close();
    },
  );

  it('is at most one region for each value if every second one was freed, and no byte more', async () => {
    const count = 50;
    const { disk, store, pushed } = await filled(8, count);
    const freed = pushed.flat().filter((_, at) => at % 2 === 1);
    await free(store, freed);
    const counts = await disk.during(() => push(store, alike(count)));
    expect(counts.regions).toBeLessThanOrEqual(count + 1);
    expect(counts.bytesWritten).toBe(count * grainBytes(valueBytes) + sectorBytes);
    console.log(`${count} values into holes that lie apart: ${counts.regions} regions`);
    await check.sound(store);
    await store.close();
  });
});
