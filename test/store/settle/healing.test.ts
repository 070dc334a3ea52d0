/**
 * Damaged structures with a good twin: opening or loading makes them good from the log since, says
 * so, and the next settle writes them; without the log it is `VARVE_CORRUPT` and nothing is written.
 */

import { describe, expect, it } from 'vitest';
import { kindBasin, kindMap, kindMarks, pageBytes } from '../../../src/format/layout.ts';
import type { FileSystem, GrainId } from '../../../src/index.ts';
import { memoryFileSystem, Store } from '../../../src/index.ts';
import { getU32 } from '../../../src/util/little-endian.ts';
import {
  addMapTo,
  headedGrains,
  openLab,
  labPath as path,
} from '../../support/fixtures/core-lab.ts';

/** How a store comes to be. */
interface Life {
  /** Its first map has more than one mark page, and so a head. */
  readonly headed: boolean;
  readonly rounds: number;
  readonly checkpoint: boolean;
}

/** Closes after each round of commits: twice, and every structure has a twin. Gives what is in it. */
async function settled(fileSystem: FileSystem, { headed, rounds, checkpoint }: Life) {
  const values = new Map<GrainId, number>();
  if (headed) {
    const lab = await openLab({ fileSystem });
    addMapTo(lab.core, { grains: headedGrains });
    const session = lab.session();
    values.set(session.push(new Uint8Array(30)), 30);
    await session.commit();
    await lab.kill();
  }
  for (let round = 0; round < rounds; round++) {
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

/** Damages the structure of a kind that has the highest generation; gives its byte. */
async function damageNewest(fileSystem: FileSystem, kind: number, rounds = 2): Promise<number> {
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
  expect(newest.generation).toBe(rounds);
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
  ['a mark page', 'without a head', kindMarks, false],
  ['a basin', 'without a head', kindBasin, false],
  ['a mark page', 'with a head', kindMarks, true],
  ['the head of a grain map', 'with a head', kindMap, true],
  ['a basin', 'with a head', kindBasin, true],
])('%s that is damaged, of a map %s,', (name, _, kind, headed) => {
  it.each([
    ['its twin and the log since', 2],
    ['the log alone, having been written once', 1],
  ] as const)('is made good from %s', async (_from, rounds) => {
    const fileSystem = memoryFileSystem();
    const values = await settled(fileSystem, { headed, rounds, checkpoint: false });
    const offset = await damageNewest(fileSystem, kind, rounds);
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

  it('is corruption if the log since is gone', async () => {
    const fileSystem = memoryFileSystem();
    const values = await settled(fileSystem, { headed, rounds: 2, checkpoint: true });
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

it('a map of one mark page has no head in the file, a larger map has one', async () => {
  for (const headed of [false, true]) {
    const fileSystem = memoryFileSystem();
    await settled(fileSystem, { headed, rounds: 2, checkpoint: false });
    const found = damageNewest(fileSystem, kindMap);
    if (headed) await found;
    else await expect(found).rejects.toThrow();
  }
});
