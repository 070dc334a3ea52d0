/**
 * A settle of many pages takes several commits: it writes a page, batches change that, and only
 * then it writes what names the page, a basin or the head of a map. A checkpoint between the stamps
 * of the two leaves no log of these changes. When the next generation of the basin or head was
 * damaged, its twin named the old page: values that were durable were free without a word.
 */

import { describe, expect, it } from 'vitest';
import { partsOfGrainId } from '../../src/format/grain-id.ts';
import { kindBasin, kindMap, kindMarks, pageBytes } from '../../src/format/layout.ts';
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

interface Trial {
  readonly kind: number;
  readonly options: LabOptions;
  readonly values: number;
  readonly bytes: number;
}

const trials: [string, Trial][] = [
  ['a basin', { kind: kindBasin, options: manyStrata, values: 199, bytes: 400 }],
  ['the head of a map', { kind: kindMap, options: manyHeads, values: 2499, bytes: 8000 }],
  ['a basin over heads', { kind: kindBasin, options: manyHeads, values: 2499, bytes: 8000 }],
];

/** The value of `late` is committed during the settle, after its page and before what names that. */
async function settledOver({ options, values, bytes }: Trial, fileSystem: FileSystem) {
  const lab = await openLab({ fileSystem, ...options });
  const late = lab.session();
  const id = late.push(new Uint8Array(bytes).fill(77));
  const session = lab.session();
  const ids = Array.from({ length: values }, (_, at) =>
    session.push(new Uint8Array(bytes).fill(at)),
  );
  await session.commit();
  await late.commit();
  const checkpoint = lab.session();
  checkpoint.checkpointTo(2);
  await checkpoint.commit();
  await lab.close();
  return [id, ...ids];
}

interface Found {
  readonly offset: number;
  readonly generation: number;
}

/** Damages the structure of a kind that has the highest generation. */
async function damageNewest(fileSystem: FileSystem, kind: number): Promise<void> {
  const file = await fileSystem.open(labPath, { create: false, exclusive: false, readOnly: false });
  const bytes = new Uint8Array(file.length());
  file.readSync(bytes, 0);
  let newest: Found = { offset: -1, generation: 1 };
  for (let offset = 0; offset + pageBytes <= bytes.length; offset += pageBytes) {
    const generation = getU32(bytes, offset + 8);
    if (getU32(bytes, offset) !== kind || generation <= newest.generation) continue;
    newest = { offset, generation };
  }
  expect(newest.offset).toBeGreaterThan(0);
  file.writeSync([new Uint8Array(64).fill(0xa5)], newest.offset + 40);
  await file.close();
}

function expectValues(lab: CoreLab, ids: readonly GrainId[]): void {
  for (const id of ids) {
    expect(lab.core.atlas.find(partsOf(id)), `value ${id}`).toMatchObject({ archived: false });
  }
}

function partsOf(id: GrainId) {
  const parts = partsOfGrainId(id);
  if (parts === undefined) throw new Error('a store gives ids that have parts');
  return parts;
}

async function messages(lab: CoreLab): Promise<string[]> {
  return (await lab.findings()).map(({ message }) => message);
}

describe.each(trials)('the healing of %s whose twin names older pages', (_, trial) => {
  it('keeps every value, also after the next settles', async () => {
    const fileSystem = memoryFileSystem();
    const { kind, options } = trial;
    const ids = await settledOver(trial, fileSystem);
    await damageNewest(fileSystem, kind);
    const healing = await openLab({ fileSystem, ...options });
    expectValues(healing, ids);
    expect(healing.core.recovery.healed).toHaveLength(1);
    // Only the structure on the disk: it is written by the next settle.
    expect(await messages(healing)).toEqual([expect.stringMatching(/fails its checksum/)]);
    const session = healing.session();
    ids.push(session.push(new Uint8Array(10)));
    await session.commit();
    await healing.close();
    for (let round = 0; round < 2; round++) {
      const sound = await openLab({ fileSystem, ...options });
      expect(sound.core.recovery.healed).toEqual([]);
      expectValues(sound, ids);
      expect(await messages(sound)).toEqual([]);
      const more = sound.session();
      ids.push(more.push(new Uint8Array(10)));
      await more.commit();
      await sound.close();
    }
  });

  it('keeps every value after a process that ends without a settle', async () => {
    const fileSystem = memoryFileSystem();
    const { kind, options } = trial;
    const ids = await settledOver(trial, fileSystem);
    await damageNewest(fileSystem, kind);
    for (let round = 0; round < 2; round++) {
      const lab = await openLab({ fileSystem, ...options, settleBytes: 1 << 24 });
      expectValues(lab, ids);
      const session = lab.session();
      ids.push(session.push(new Uint8Array(10)));
      await session.commit();
      await lab.kill();
    }
  });

  it.each([1, 2])(
    'keeps every value if the next settle was cut after %i commits',
    async (commits) => {
      const fileSystem = memoryFileSystem();
      const { kind, options } = trial;
      const ids = await settledOver(trial, fileSystem);
      const cut = await openLab({ fileSystem, ...options });
      const session = cut.session();
      for (const id of ids) session.archive(id);
      await session.commit();
      for (let at = 1; at < commits; at++) {
        const more = cut.session();
        more.push(new Uint8Array(10));
        await more.commit();
      }
      await cut.kill();
      await damageNewest(fileSystem, kind);
      for (let round = 0; round < 2; round++) {
        const lab = await openLab({ fileSystem, ...options });
        for (const id of ids) {
          expect(lab.core.atlas.find(partsOf(id)), `value ${id}`).toMatchObject({ archived: true });
        }
        expect(lab.core.recovery.healed).toHaveLength(round === 0 ? 1 : 0);
        await lab.close();
      }
      const sound = await openLab({ fileSystem, ...options });
      expect(await messages(sound)).toEqual([]);
      await sound.close();
    },
  );

  it('reports the loss if the newer page is damaged too', async () => {
    const fileSystem = memoryFileSystem();
    const { kind, options } = trial;
    const ids = await settledOver(trial, fileSystem);
    await damageNewest(fileSystem, kind);
    await damageNewest(fileSystem, kindMarks);
    const look = async (): Promise<void> => {
      const lab = await openLab({ fileSystem, ...options });
      try {
        expectValues(lab, ids);
      } finally {
        await lab.kill();
      }
    };
    await expect(look()).rejects.toMatchObject({ code: 'VARVE_CORRUPT' });
  });
});
