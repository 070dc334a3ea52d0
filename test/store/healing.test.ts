/**
 * Damaged structures with a good twin: opening or loading makes them good from the log since, says
 * so, and the next settle writes them; without the log it is `VARVE_CORRUPT` and nothing is written.
 */

import { describe, expect, it } from 'vitest';
import { mapHeadPage, markPagePage } from '../../src/format/grain-map.ts';
import { kindBasin, kindMap, kindMarks, pageBytes } from '../../src/format/layout.ts';
import type { FileSystem, GrainId } from '../../src/index.ts';
import { memoryFileSystem, Store } from '../../src/index.ts';
import { getU32 } from '../../src/util/little-endian.ts';

const path = 'store';

/** Closes twice with commits between, so that every structure has a twin; gives what is in it. */
async function settledTwice(fileSystem: FileSystem, checkpoint: boolean) {
  const values = new Map<GrainId, number>();
  for (let round = 0; round < 2; round++) {
    const store = await Store.open(path, { fileSystem });
    for (let commit = 0; commit < 5; commit++) {
      const session = store.session();
      for (let at = 0; at < 20; at++) {
        const length = 50 + at * 7 + commit;
        values.set(session.push(new Uint8Array(length).fill(at)), length);
      }
      const old = [...values.keys()][commit * 3 + round * 20] as GrainId;
      if (round > 0) {
        session.archive(old);
      }
      await session.commit();
    }
    if (checkpoint) await store.checkpointTo(store.currentBatch);
    await store.close();
  }
  return values;
}

/** Newest generation of the structures of a kind: the page of each. */
async function damageNewest(fileSystem: FileSystem, kind: number): Promise<number> {
  const options = { create: false, exclusive: false, readOnly: false };
  const file = await fileSystem.open(path, options);
  const bytes = new Uint8Array(file.length());
  file.readSync(bytes, 0);
  let newest = { offset: -1, generation: 0 };
  for (let offset = 0; offset + pageBytes <= bytes.length; offset += pageBytes) {
    if (getU32(bytes, offset) !== kind) continue;
    const generation = getU32(bytes, offset + 8);
    if (generation > newest.generation) newest = { offset, generation };
  }
  expect(newest.generation).toBeGreaterThan(1);
  file.writeSync([new Uint8Array(64).fill(0xa5)], newest.offset + 40);
  await file.close();
  return newest.offset;
}

async function expectSound(store: Store, values: Map<GrainId, number>): Promise<void> {
  for (const [id, length] of values) expect(store.get(id)?.length).toBe(length);
  const findings: string[] = [];
  for await (const finding of store.verify({ deep: true })) findings.push(finding.message);
  expect(findings).toEqual([]);
}

describe.each([
  ['a mark page', kindMarks],
  ['the head of a grain map', kindMap],
  ['a basin', kindBasin],
])('%s that is damaged', (name, kind) => {
  it('is made good from its twin and the log since', async () => {
    const fileSystem = memoryFileSystem();
    const values = await settledTwice(fileSystem, false);
    const offset = await damageNewest(fileSystem, kind);
    const store = await Store.open(path, { fileSystem });
    for (const id of values.keys()) store.get(id);
    expect(store.recovery.healed).toEqual([`${name}, at byte ${offset}, was damaged`]);
    for (const [id, length] of values) expect(store.get(id)?.length).toBe(length);
    const { id } = await store.put(new Uint8Array(10));
    values.set(id, 10);
    await store.close();
    const again = await Store.open(path, { fileSystem });
    expect(again.recovery.healed).toEqual([]);
    await expectSound(again, values);
    await again.close();
  });

  it('is corruption where the log since is gone', async () => {
    const fileSystem = memoryFileSystem();
    const values = await settledTwice(fileSystem, true);
    await damageNewest(fileSystem, kind);
    const act = async (): Promise<void> => {
      const store = await Store.open(path, { fileSystem });
      try {
        for (const id of values.keys()) store.get(id);
      } finally {
        await store.close();
      }
    };
    await expect(act()).rejects.toMatchObject({ code: 'VARVE_CORRUPT' });
  });
});

it('pages of a grain map alternate between their two slots', () => {
  expect(mapHeadPage(10, 3)).toBe(11);
  expect(markPagePage(10, 2, 4)).toBe(16);
});
