/**
 * What opening for writing leaves in the file: the newer copy of the header says that the store is
 * open, what is confirmed, and an epoch above every one before, and so does the other one with the
 * first commit; of a batch that was taken back nothing is left that could be taken for a record.
 */

import { expect, it } from 'vitest';
import { encodeFileHeader, type FileHeader } from '../../../src/format/file-header.ts';
import { headerCopies, pageBytes } from '../../../src/format/layout.ts';
import { type GrainId, Store } from '../../../src/index.ts';
import { patternOf } from '../../support/bytes.ts';
import type { DiskImage } from '../../support/disks/disk-image.ts';
import { restarted } from '../../support/disks/disk-state.ts';
import { headersOf, namedBy } from '../../support/disks/named-ranges.ts';
import { SimulatedDisk } from '../../support/disks/simulated-disk.ts';
import { check } from '../../support/fixtures/store-checks.ts';

/** More than a record carries. */
const valueBytes = 600;

async function open(disk: SimulatedDisk): Promise<Store> {
  return await Store.open('store', { fileSystem: disk });
}

/** The disk of a process that was killed when all was durable. */
function killed(durable: DiskImage): SimulatedDisk {
  return new SimulatedDisk({ state: restarted(durable) });
}

function copiesOf({ state }: SimulatedDisk): FileHeader[] {
  return headersOf(state.durable).flatMap((header) => header ?? []);
}

/** The copy that the next opening goes by. */
function newestOf(disk: SimulatedDisk): FileHeader | undefined {
  return copiesOf(disk).sort((one, other) => other.generation - one.generation)[0];
}

/** The batches that have a record in the log that either copy lists. */
function recordsOf({ state }: SimulatedDisk): Set<string> {
  const told = headersOf(state.durable).flatMap((header) =>
    header === undefined ? [] : [...namedBy(state.durable, header)],
  );
  return new Set(told.map(({ what }) => what).filter((what) => what.startsWith('the record')));
}

/** A disk on which `count` batches are durable, each of one value, and the values. */
async function withBatches(count: number): Promise<{ disk: SimulatedDisk; ids: GrainId[] }> {
  const disk = new SimulatedDisk();
  const store = await open(disk);
  const ids: GrainId[] = [];
  for (let at = 0; at < count; at++) ids.push((await store.put(patternOf(valueBytes, at))).id);
  return { disk, ids };
}

it('an opening after a clean close says that the store is open, before anything is committed', async () => {
  const { disk } = await withBatches(2);
  const next = killed(disk.state.durable);
  await (await open(next)).close();
  expect(copiesOf(next)).toMatchObject(Array(headerCopies).fill({ clean: true, epoch: 2 }));
  const store = await open(next);
  expect(store.recovery.clean).toBe(true);
  const told = { clean: false, epoch: 3, confirmed: 2 };
  expect(newestOf(next)).toMatchObject(told);
  await store.put(patternOf(100));
  expect(copiesOf(next)).toMatchObject(Array(headerCopies).fill(told));

  const again = await open(killed(next.state.durable));
  expect(again.recovery.clean).toBe(false);
  await check.sound(again);
  await again.close();
});

it('an opening raises the epoch above every one in the log, whatever the headers say', async () => {
  const { disk } = await withBatches(1);
  const second = killed(disk.state.durable);
  await (await open(second)).put(patternOf(100, 2));
  const third = killed(second.state.durable);
  await (await open(third)).put(patternOf(100, 3));
  expect(copiesOf(third)).toMatchObject([{ epoch: 3 }, { epoch: 3 }]);

  const editor = third.state.durable.edit();
  for (const [copy, header] of copiesOf(third).entries()) {
    editor.write(encodeFileHeader({ ...header, epoch: 1 }), copy * pageBytes);
  }
  const lowered = killed(editor.image());
  const store = await open(lowered);
  expect(store.currentBatch).toBe(3);
  expect(newestOf(lowered)).toMatchObject({ epoch: 4 });
  await check.sound(store);
  await store.close();
});

it('an opening that takes a batch back leaves no record of it', async () => {
  const { disk, ids } = await withBatches(3);
  expect(recordsOf(disk)).toContain('the record of batch 3');
  const value = patternOf(valueBytes, 2);
  const { durable } = disk.state;
  const bytes = new Uint8Array(durable.length);
  durable.read(bytes, 0);
  const place = Buffer.from(bytes.buffer).indexOf(value);
  expect(place).toBeGreaterThan(0);
  const editor = durable.edit();
  editor.write(new Uint8Array(value.length), place);

  const torn = killed(editor.image());
  const store = await open(torn);
  expect(store.recovery.revertedBatch).toBe(3);
  expect(store.get(ids[2] as GrainId)).toBe(undefined);
  expect([...recordsOf(torn)].sort()).toEqual(['the record of batch 1', 'the record of batch 2']);
  const epochs = copiesOf(torn).map(({ epoch }) => epoch);
  expect(epochs).toEqual(Array(headerCopies).fill(2));
  await check.sound(store);
  await store.close();
});
