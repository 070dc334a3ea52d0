/**
 * Writes that the disk said it had made and had not: each write of a store's whole life, the sectors
 * of it that nothing has written since show what was there before.
 *
 * The old bytes of a reused grain may be a whole value of the same id. Opening sees that of the last
 * batch, deep verification while the log has the batch, and after a checkpoint nobody can.
 */

import { afterAll, describe, expect, it } from 'vitest';
import { headerCopies, pageBytes, sectorBytes } from '../../src/format/layout.ts';
import { type FileSystem, type GrainId, memoryFileSystem, Store } from '../../src/index.ts';
import { expectSameBytes, patternOf } from '../support/bytes.ts';
import { apply } from '../support/disks/disk-state.ts';
import type { SimulatedDisk } from '../support/disks/simulated-disk.ts';
import { contentOf, findingsOf, overwrite } from '../support/fixtures/store-checks.ts';
import { patience, strideOf } from './scale.ts';
import { Campaign, changedBy, patientOf } from './wounds.ts';

const reports: string[] = [];

/** Sectors that each write was the last to write, and what was there before it. */
function* lostWrites({ operations, before }: SimulatedDisk) {
  const later = new Set<number>();
  for (let number = operations.length - 1; number >= 0; number--) {
    const operation = operations[number];
    const state = before[number];
    if (operation?.kind !== 'write' || state === undefined) continue;
    const old = apply(state.seen, state.unsynced);
    const sectors: { at: number; bytes: Uint8Array }[] = [];
    const { position, bytes: length } = operation;
    const from = position - (position % sectorBytes);
    for (let at = from; at < position + length; at += sectorBytes) {
      if (later.has(at)) continue;
      later.add(at);
      const bytes = new Uint8Array(sectorBytes);
      old.read(bytes, at);
      sectors.push({ at, bytes });
    }
    if (sectors.length > 0) yield { number, sectors };
  }
}

const kinds = [
  { closed: true },
  { closed: false },
  { closed: false, large: true, checkpoint: true },
  { closed: true, carrying: true },
  { closed: false, carrying: true },
];

describe.each(kinds)('a store, %o,', patience, (kind) => {
  it('returns right bytes or an error after a lost write', async () => {
    const campaign = new Campaign(await patientOf(kind));
    const { patient, bytes } = campaign;
    let stale = 0;
    for (const { number, sectors } of lostWrites(patient.specimen.disk)) {
      const inside = sectors.filter(({ at }) => at + sectorBytes <= bytes.length);
      const damaged = bytes.slice();
      for (const sector of inside) damaged.set(sector.bytes, sector.at);
      const ranges = inside.flatMap((sector) => changedBy(bytes, sector.bytes, sector.at));
      if (ranges.length === 0) continue;
      const damage = { ranges, bytes: damaged, mayBeStale: true };
      // The copy of the file header that was there before, with the other one, says the same.
      const alike = ranges.every(({ from }) => from < headerCopies * pageBytes);
      const often = campaign.tried % strideOf(3) === 0;
      const depth = { alike, deep: true, liveOn: often, readOnly: often };
      const outcome = await campaign.suffer(`operation ${number}, lost,`, damage, depth);
      for (const id of outcome.stale) {
        stale += 1;
        const lost = outcome.findings.find(({ grainId }) => grainId === id);
        // One that was shorter, of the same id, does not fill the grains that the new one has.
        expect(lost?.message ?? 'nothing').toMatch(/lost|^a value of \d+ bytes has \d+ grains$/);
      }
    }
    reports.push(`${campaign.report()}; ${stale} whole old values`);
  });
});

// ── a whole value of the same id ──

const path = 'store';
/** Too many for a record to carry. */
const reusedBytes = 600;

/**
 * A store with a value that has the id of one before, and what follows; its file, in which the old
 * value still is.
 */
async function reused(after: (store: Store, fileSystem: FileSystem) => Promise<FileSystem>) {
  const fileSystem = memoryFileSystem();
  const store = await Store.open(path, { fileSystem });
  const { id } = await store.put(patternOf(reusedBytes, 1));
  const old = await contentOf(fileSystem, path);
  const session = store.session();
  session.archive(id);
  await session.commit();
  await store.checkpointTo(store.currentBatch);
  const again = await store.put(patternOf(reusedBytes, 2));
  expect(again.id).toBe(id);
  const { batch } = again;
  const bytes = await contentOf(await after(store, fileSystem), path);
  const offset = Buffer.from(old).indexOf(patternOf(reusedBytes, 1)) - 8;
  bytes.set(old.subarray(offset, offset + 8 + reusedBytes), offset);
  return { bytes, id, batch, offset };
}

async function copyOf(bytes: Uint8Array): Promise<FileSystem> {
  const fileSystem = memoryFileSystem();
  await overwrite(fileSystem, bytes, 0, path);
  return fileSystem;
}

async function openOver(bytes: Uint8Array): Promise<Store> {
  return await Store.open(path, { fileSystem: await copyOf(bytes) });
}

async function lostIn(store: Store): Promise<(GrainId | undefined)[]> {
  const findings = await findingsOf(store);
  for (const { message } of findings) expect(message).toContain('lost');
  return findings.map(({ grainId }) => grainId);
}

describe('a reused grain in which the disk kept the old value', () => {
  it('takes back the last batch of a store that was not closed', async () => {
    const { bytes, id, batch } = await reused(async (_, fileSystem) => fileSystem);
    const store = await openOver(bytes);
    expect(store.recovery.revertedBatch).toBe(batch);
    expect(store.has(id)).toBe(false);
    expect(await lostIn(store)).toEqual([]);
    await store.close();
  });

  it('costs only that value if an opening has confirmed the last batch', async () => {
    const { bytes, id, batch, offset } = await reused(async (_, fileSystem) => {
      const copy = await copyOf(await contentOf(fileSystem, path));
      await Store.open(path, { fileSystem: copy });
      return copy;
    });
    for (const readOnly of [true, false]) {
      const store = await Store.open(path, { fileSystem: await copyOf(bytes), readOnly });
      expect(store.currentBatch).toBe(batch);
      // The old value is whole, and still it is not given.
      const damaged = expect.objectContaining({ code: 'VARVE_CORRUPT', offset, grainId: id });
      expect(() => store.get(id)).toThrow(damaged);
      await expect(store.getAsync(id)).rejects.toEqual(damaged);
      expect(await lostIn(store)).toEqual([id]);
      await store.close();
    }
  });

  it.each([true, false])('is found by verify while the log has it, closed: %s', async (closed) => {
    const { bytes, id } = await reused(async (store, fileSystem) => {
      await store.put(patternOf(30));
      if (closed) await store.close();
      return fileSystem;
    });
    const store = await openOver(bytes);
    expect(await lostIn(store)).toEqual([id]);
    await store.close();
  });

  it('is found by verify in the last batch of a store that was closed', async () => {
    const { bytes, id } = await reused(async (store, fileSystem) => {
      await store.close();
      return fileSystem;
    });
    const store = await openOver(bytes);
    expect(store.recovery.revertedBatch).toBe(undefined);
    expect(await lostIn(store)).toEqual([id]);
    await store.close();
  });

  it('is no longer found after a checkpoint', async () => {
    const { bytes, id } = await reused(async (store, fileSystem) => {
      await store.checkpointTo(store.currentBatch);
      await store.close();
      return fileSystem;
    });
    const store = await openOver(bytes);
    expect(await lostIn(store)).toEqual([]);
    expectSameBytes(store.get(id) as Uint8Array, patternOf(reusedBytes, 1));
    await store.close();
  });
});

afterAll(() => {
  console.log(reports.join('\n'));
});
