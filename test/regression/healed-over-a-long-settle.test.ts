/**
 * A settle of many pages takes several commits, and these change pages that it has written already.
 * What names such a page, a basin or the head of a map, is written later: its stamp is that of a
 * batch which the page lacks. When the next generation of it was damaged, the healed store applied
 * the log only from that stamp on: values that had been archived were live again.
 *
 * A twin at the end of the file was not used either if the file ended within its slot.
 */

import { describe, expect, it } from 'vitest';
import { kindBasin, kindMap, pageBytes } from '../../src/format/layout.ts';
import type { FileSystem, GrainId } from '../../src/index.ts';
import { memoryFileSystem } from '../../src/index.ts';
import { getU32 } from '../../src/util/little-endian.ts';
import {
  type CoreLab,
  type LabOptions,
  labPath,
  manyHeads,
  manyStrata,
  openLab,
} from '../support/fixtures/core-lab.ts';

/** Damages the structure of a kind that has the highest generation. */
async function damageNewest(fileSystem: FileSystem, kind: number): Promise<void> {
  const file = await fileSystem.open(labPath, { create: false, exclusive: false, readOnly: false });
  const bytes = new Uint8Array(file.length());
  file.readSync(bytes, 0);
  let newest = { offset: -1, generation: 1 };
  for (let offset = 0; offset + pageBytes <= bytes.length; offset += pageBytes) {
    const generation = getU32(bytes, offset + 8);
    if (getU32(bytes, offset) !== kind || generation <= newest.generation) continue;
    newest = { offset, generation };
  }
  expect(newest.offset).toBeGreaterThan(0);
  file.writeSync([new Uint8Array(64).fill(0xa5)], newest.offset + 40);
  await file.close();
}

async function messages(lab: CoreLab): Promise<string[]> {
  return (await lab.findings()).map(({ message }) => message);
}

/** Opens the damaged store, closes it, and opens it again: nothing is wrong with it. */
async function expectHealed(fileSystem: FileSystem, options: LabOptions): Promise<void> {
  const healing = await openLab({ fileSystem, ...options });
  for (const stratum of healing.core.atlas.strata()) {
    for (const map of stratum.maps) for (const _ of stratum.pagesOf(map));
  }
  expect(healing.core.recovery.healed).toHaveLength(1);
  // Only the structure on the disk: it is written by the next settle.
  expect(await messages(healing)).toEqual([expect.stringMatching(/fails its checksum/)]);
  const session = healing.session();
  session.push(new Uint8Array(10));
  await session.commit();
  await healing.close();
  const sound = await openLab({ fileSystem, ...options });
  expect(sound.core.recovery.healed).toEqual([]);
  expect(await messages(sound)).toEqual([]);
  await sound.kill();
}

async function archiveOneByOne(lab: CoreLab, ids: readonly GrainId[]): Promise<void> {
  for (const id of ids) {
    const session = lab.session();
    session.archive(id);
    session.push(new Uint8Array(10));
    await session.commit();
  }
}

describe('changes made during a settle survive the healing', () => {
  it.each([1, 2, 3, 4, 5, 6])('of a basin, after %i commits', async (commits) => {
    const fileSystem = memoryFileSystem();
    const lab = await openLab({ fileSystem, ...manyStrata });
    const session = lab.session();
    const ids = Array.from({ length: 200 }, (_, at) => session.push(new Uint8Array(400).fill(at)));
    await session.commit();
    await archiveOneByOne(lab, ids.slice(0, commits));
    await lab.close();
    await damageNewest(fileSystem, kindBasin);
    await expectHealed(fileSystem, manyStrata);
  });

  it.each([1, 2, 3])('of the head of a map, after %i commits', async (commits) => {
    const fileSystem = memoryFileSystem();
    const lab = await openLab({ fileSystem, ...manyHeads });
    const session = lab.session();
    const bytes = new Uint8Array(8000);
    const ids = Array.from({ length: 2500 }, () => session.push(bytes));
    await session.commit();
    expect(lab.core.atlas.dirtyPages).toBeGreaterThan(64);
    await archiveOneByOne(lab, ids.slice(0, commits));
    await lab.close();
    await damageNewest(fileSystem, kindMap);
    await expectHealed(fileSystem, manyHeads);
  });
});
