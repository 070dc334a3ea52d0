/**
 * The size of copies: at most 1.1 times the bytes of the grains of live values, besides the 26 pages
 * that every store has. And the maps of copies that are laid out in other ways: with heads, with marks
 * that do not fit into memory, and with the ids of dropped maps left unused.
 */

import { describe, expect, it } from 'vitest';
import { pageBytes } from '../../../src/format/layout.ts';
import { GrainId, memoryFileSystem, Store } from '../../../src/index.ts';
import { backUp } from '../../../src/store/backup/backup.ts';
import { WriterSource } from '../../../src/store/backup/backup-source.ts';
import { checkOperation } from '../../../src/util/operations/long-operation.ts';
import { RunningOperation } from '../../../src/util/operations/running-operation.ts';
import { WrappedFileSystem } from '../../support/disks/wrapped-file-system.ts';
import { headedLimits, openLab } from '../../support/fixtures/core-lab.ts';
import { BackupGround, copyPath } from './backup-ground.ts';

/** Headers, a log segment, and both slots of a basin and of the root. */
const fixedPages = 2 + 16 + 2 * 4;

async function filled(lengths: readonly number[], totalBytes: number) {
  const fileSystem = memoryFileSystem();
  const store = await Store.open('source', { fileSystem });
  const ids: GrainId[] = [];
  for (let bytes = 0; bytes < totalBytes; ) {
    const session = store.session();
    for (let at = 0; at < 400 && bytes < totalBytes; at++) {
      const length = lengths[ids.length % lengths.length] as number;
      ids.push(session.push(new Uint8Array(length).fill(ids.length)));
      bytes += length;
    }
    await session.commit();
  }
  return { store, ids };
}

async function archive(store: Store, ids: readonly GrainId[]): Promise<void> {
  for (let from = 0; from < ids.length; from += 1000) {
    const session = store.session();
    for (const id of ids.slice(from, from + 1000)) session.archive(id);
    await session.commit();
  }
}

/** Backs up, and returns the length of the copy and the bytes of its values' grains. */
async function copied(store: Store): Promise<{ bytes: number; live: number }> {
  const fileSystem = memoryFileSystem();
  const { bytes } = await store.backupTo('copy', { fileSystem });
  const copy = await Store.open('copy', { fileSystem });
  let live = 0;
  for (const { allocated, grainBytes } of copy.statistics().strata) live += allocated * grainBytes;
  for await (const { message } of copy.verify({ deep: true })) throw new Error(message);
  await copy.close();
  return { bytes: bytes - fixedPages * pageBytes, live };
}

const contents: Readonly<Record<string, readonly number[]>> = {
  'small values': [100],
  'values of many lengths': [30, 200, 1000, 5000, 20_000],
  'values of 64 KiB': [65_536],
  'values of 200 KiB': [204_800],
  'large values': [1_000_000, 3_000_000],
};

describe.each(Object.entries(contents))('a copy of %s', (_, lengths) => {
  it('has at most 1.1 times the live bytes', async () => {
    const { store } = await filled(lengths, 12_000_000);
    const { bytes, live } = await copied(store);
    expect(bytes / live).toBeLessThan(1.1);
    await store.close();
  });

  it('has at most 1.1 times the live bytes after the oldest 90 % were archived', async () => {
    const { store, ids } = await filled(lengths, 20_000_000);
    await archive(store, ids.slice(0, Math.floor(ids.length * 0.9)));
    const { bytes, live } = await copied(store);
    expect(bytes / live).toBeLessThan(1.1);
    expect(live).toBeLessThan(4_500_000);
    await store.close();
  });

  it('has at most 1.1 times the live bytes if every tenth run of values is left', async () => {
    const { store, ids } = await filled(lengths, 20_000_000);
    const run = Math.max(1, Math.ceil((256 * 1024) / (lengths[0] as number)));
    await archive(
      store,
      ids.filter((_, at) => Math.floor(at / run) % 10 !== 3),
    );
    const { bytes, live } = await copied(store);
    expect(bytes / live).toBeLessThan(1.1);
    await store.close();
  });
});

describe('a copy of more maps than marks fit into memory', () => {
  it.each([0, 1, 7])('has the same values, with %i pages', async (marksMax) => {
    const lab = await openLab({ limits: { grainsPerStratum: 1000 } });
    const ids = new Map<GrainId, number>();
    for (let commit = 0; commit < 10; commit++) {
      const session = lab.session();
      for (let at = 0; at < 100; at++) ids.set(session.push(new Uint8Array(200).fill(at)), at);
      await session.commit();
    }
    const copies = new WrappedFileSystem(memoryFileSystem());
    const target = { fileSystem: copies, path: 'copy', overwrite: false };
    const operation = new RunningOperation(checkOperation({}));
    const { values } = await backUp(target, new WriterSource(lab.core), operation, marksMax);
    const ofMarks = copies.calls.filter(({ operation: one, bytes }) => {
      return one === 'read' && bytes === pageBytes;
    });
    expect(ofMarks.length).toBe(8 - marksMax);
    expect(values).toBe(ids.size);
    const copy = await Store.open('copy', { fileSystem: copies });
    for (const [id, byte] of ids) expect(copy.get(id)?.[0]).toBe(byte);
    for await (const { message } of copy.verify({ deep: true })) throw new Error(message);
    await copy.close();
    await lab.close();
  });
});

describe('a copy of a store whose last map was dropped', () => {
  it('does not give its ids to other values', async () => {
    const fileSystem = memoryFileSystem();
    const store = await Store.open('source', { fileSystem });
    const { id } = await store.put(new Uint8Array(300_000));
    await archive(store, [id]);
    await store.checkpointTo(store.currentBatch);
    await store.put(new Uint8Array(10));
    await store.backupTo('copy', { fileSystem });
    const copy = await Store.open('copy', { fileSystem });
    for (const one of [store, copy]) {
      const next = await one.put(new Uint8Array(300_000));
      expect(next.id).toBeGreaterThan(id);
      expect(GrainId.parts(next.id)).toMatchObject({ basin: 0, stratum: 0 });
      await one.close();
    }
  });
});

describe('a copy of maps with a head', () => {
  it.each([1, 2, 3])('has the same values, seed %i', async (seed) => {
    const limits = { ...headedLimits, mapsPerStratum: seed };
    const ground = new BackupGround({ lengths: [3, 20, 50, 90], seed, limits });
    const store = await ground.open();
    for (let at = 0; at < 5; at++) ground.commit(1500);
    for (let at = 0; at < 5; at++) ground.commit(500);
    const { batch, values } = await store.backupTo(copyPath, { fileSystem: ground.disk });
    await ground.expectCopy(batch, values);
    await store.close();
  });
});
