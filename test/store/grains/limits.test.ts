/**
 * Stores with lowered limits: values go on into the next stratum and the next basin, and their ids
 * are read again after closing, after a kill, and when space in the first strata is used again.
 */

import { describe, expect, it } from 'vitest';
import { GrainId } from '../../../src/format/grain-id.ts';
import { type FileSystem, memoryFileSystem } from '../../../src/index.ts';
import { defaultLimits } from '../../../src/store/grains/atlas.ts';
import { checkOptions } from '../../../src/store/open/store-options.ts';
import { openStore, type Store } from '../../../src/store/store.ts';
import { expectSameBytes, patternOf } from '../../support/bytes.ts';
import { openLab } from '../../support/fixtures/core-lab.ts';

const limits = { ...defaultLimits, grainsPerStratum: 256, strataPerBasin: 3 };

function openLimited(fileSystem: FileSystem): Promise<Store> {
  return openStore(checkOptions('limited', { fileSystem, settleBytes: 3000 }, limits));
}

async function expectAll(store: Store, lengths: ReadonlyMap<GrainId, number>): Promise<void> {
  for (const [id, length] of lengths) {
    expectSameBytes(store.get(id) as Uint8Array, patternOf(length, length));
  }
  const findings = [];
  for await (const finding of store.verify({ deep: true })) findings.push(finding);
  expect(findings).toEqual([]);
}

async function fill(store: Store, lengths: Map<GrainId, number>, commits: number): Promise<void> {
  for (let commit = 0; commit < commits; commit++) {
    const session = store.session();
    for (let at = 0; at < 40; at++) {
      const length = (at * 37 + commit * 11) % 900;
      lengths.set(session.push(patternOf(length, length)), length);
    }
    await session.commit();
  }
}

describe('a store with many basins and strata', () => {
  it('reads every id again after it has been closed', async () => {
    const fileSystem = memoryFileSystem();
    const lengths = new Map<GrainId, number>();
    for (let round = 0; round < 3; round++) {
      const store = await openLimited(fileSystem);
      await expectAll(store, lengths);
      await fill(store, lengths, 10);
      await expectAll(store, lengths);
      await store.close();
    }
    const parts = [...lengths.keys()].map((id) => GrainId.parts(id));
    expect(Math.max(...parts.map(({ basin }) => basin))).toBeGreaterThan(10);
    expect(new Set(parts.map(({ stratum }) => stratum))).toEqual(new Set([0, 1, 2]));
    const store = await openLimited(fileSystem);
    await expectAll(store, lengths);
    expect(store.statistics().strata.length).toBeGreaterThan(30);
    await store.close();
  });

  it('reads every id again after a kill, from the log alone and from settled structures', async () => {
    for (const settleBytes of [1, 3000, 1_000_000]) {
      const fileSystem = memoryFileSystem();
      const lengths = new Map<GrainId, number>();
      for (let round = 0; round < 4; round++) {
        const lab = await openLab({ fileSystem, settleBytes, limits });
        for (const [id, length] of lengths) {
          const place = lab.core.place(id);
          if (place === undefined) throw new Error(`${GrainId.format(id)} is gone`);
          expectSameBytes(lab.core.values.read(place), patternOf(length, length));
        }
        for (let commit = 0; commit < 8; commit++) {
          const session = lab.session();
          for (let at = 0; at < 30; at++) {
            const length = (at * 53 + commit + round * 7) % 700;
            lengths.set(session.push(patternOf(length, length)), length);
          }
          await session.commit();
        }
        // Of a session that never ends nothing is left.
        lab.session().push(patternOf(100));
        await lab.kill();
      }
      const lab = await openLab({ fileSystem, settleBytes, limits });
      expect(lab.core.recovery).toMatchObject({
        clean: false,
        revertedBatch: undefined,
        healed: [],
      });
      expect(lab.core.atlas.basins.length).toBeGreaterThan(8);
      expect(await lab.findings()).toEqual([]);
      await lab.close();
    }
  });

  it('uses the first strata again before it makes another', async () => {
    const store = await openLimited(memoryFileSystem());
    const lengths = new Map<GrainId, number>();
    await fill(store, lengths, 10);
    const strata = store.statistics().strata.length;
    const { fileBytes } = store.statistics();
    for (let round = 0; round < 5; round++) {
      const session = store.session();
      const first = [...lengths.keys()].slice(0, 100);
      for (const id of first) {
        session.archive(id);
        lengths.delete(id);
      }
      await store.checkpointTo(await session.commit());
      const again = store.session();
      for (const id of first) {
        const { length } = patternOf(Number(id % 300n));
        lengths.set(again.push(patternOf(length, length)), length);
      }
      await again.commit();
    }
    expect(store.statistics().strata.length).toBe(strata);
    expect(store.statistics().fileBytes).toBeLessThan(1.5 * fileBytes);
    await expectAll(store, lengths);
    await store.close();
  });

  it('is full at the last grain of the last basin, and takes values again when some are freed', async () => {
    const lab = await openLab({ limits: { grainsPerStratum: 256, strataPerBasin: 2, basins: 2 } });
    const session = lab.session();
    const ids = Array.from({ length: 1024 }, () => session.push(patternOf(20)));
    const tooLarge = expect.objectContaining({ code: 'VARVE_TOO_LARGE' });
    expect(() => session.push(patternOf(20))).toThrow(tooLarge);
    await session.commit();
    const other = lab.session();
    expect(() => other.push(patternOf(20))).toThrow(tooLarge);
    other.archive(ids[700] as GrainId);
    const batch = await other.commit();
    const freeing = lab.session();
    freeing.checkpointTo(batch);
    await freeing.commit();
    const again = lab.session();
    expect(again.push(patternOf(20))).toBe(ids[700]);
    await again.commit();
    expect(await lab.findings()).toEqual([]);
    await lab.close();
  });
});
