/**
 * Records that carry values in ways that no writer has: their checksums are right, and still the file
 * is `VARVE_CORRUPT`, unwritten, or what the record says.
 */

import { expect, it } from 'vitest';
import {
  decodeLogRecord,
  type GrainRun,
  type LogOperation,
  type LogRecord,
} from '../../../src/format/log-record.ts';
import { memoryFileSystem, Store } from '../../../src/index.ts';
import { structuresOf } from '../../format/fuzz/store-image.ts';
import { recordBody } from '../../format/record-bodies.ts';
import { patternOf } from '../../support/bytes.ts';
import { GivenFile } from '../../support/disks/given-file.ts';
import { addMapTo, labPath, openLab } from '../../support/fixtures/core-lab.ts';
import { check, contentOf, storePath } from '../../support/fixtures/store-checks.ts';

type Allocation = Extract<LogOperation, { operation: 'allocate' }>;

/** A store whose last record, of batch 3, carries a value of two grains. */
async function killedStore(): Promise<Uint8Array> {
  const fileSystem = memoryFileSystem();
  const store = await Store.open(storePath, { fileSystem });
  await store.put(patternOf(5000));
  await store.put(patternOf(20, 1));
  await store.put(patternOf(50, 2));
  const image = await contentOf(fileSystem);
  await store.close();
  return image;
}

/** Changes what the last record allocates. */
function craft(image: Uint8Array, change: (one: Allocation) => readonly LogOperation[]): void {
  const bodies = structuresOf(image).filter(({ kind }) => kind === 'record body');
  const records = bodies.map((body) => {
    return { body, record: decodeLogRecord(body.bytes(image), 0) as LogRecord };
  });
  const newest = Math.max(...records.map(({ record }) => record.batch));
  const last = records.find(({ record }) => record.batch === newest);
  if (last === undefined) throw new Error('a record');
  const operations = last.record.operations.flatMap((one) =>
    one.operation === 'allocate' ? change(one) : [one],
  );
  last.body.replace(image, recordBody(last.record, operations));
}

function carried(run: GrainRun, bytes: Uint8Array): Allocation {
  return { ...run, operation: 'allocate', length: bytes.length, crc: 0, bytes };
}

async function opened(image: Uint8Array, readOnly = false): Promise<Store> {
  return await Store.open(storePath, { fileSystem: new GivenFile(image), readOnly });
}

async function expectRefused(image: Uint8Array): Promise<void> {
  for (const readOnly of [true, false]) {
    const disk = new GivenFile(image);
    await check.rejects('VARVE_CORRUPT', () => {
      return Store.open(storePath, { fileSystem: disk, readOnly });
    });
    expect(disk.changes).toBe(0);
  }
}

it('a carried value is what its record says, whatever its grains hold', async () => {
  for (const length of [25, 50, 56]) {
    const image = await killedStore();
    let place: GrainRun | undefined;
    craft(image, (one) => {
      place = one;
      expect(one.bytes).toEqual(patternOf(50, 2));
      return [carried(one, patternOf(length, 9))];
    });
    expect(place?.count).toBe(2);
    const store = await opened(image);
    const [id] = [...(await changesOf(store))].slice(-1);
    expect(store.get(id as never)).toEqual(patternOf(length, 9));
    await check.sound(store);
    await store.close();
  }
});

async function changesOf(store: Store): Promise<unknown[]> {
  const ids: unknown[] = [];
  for await (const { changes } of store.commitLog()) ids.push(...changes.map(({ id }) => id));
  return ids;
}

it('a carried value that is longer than its grains is damage', async () => {
  for (const length of [57, 64, 200]) {
    const image = await killedStore();
    craft(image, (one) => [carried(one, patternOf(length, 9))]);
    await expectRefused(image);
  }
});

it('values that share grains are damage', async () => {
  for (const second of [{}, { count: 1 }]) {
    const image = await killedStore();
    craft(image, (one) => [one, carried({ ...one, ...second }, patternOf(10, 9))]);
    await expectRefused(image);
  }
  const image = await killedStore();
  craft(image, (one) => [
    one,
    carried({ ...one, index: one.index + 1, count: 1 }, patternOf(10, 9)),
  ]);
  await expectRefused(image);
});

it('a carried value beyond its grain map, or in none, is damage', async () => {
  for (const index of [2 ** 20, 2 ** 40]) {
    const image = await killedStore();
    craft(image, (one) => [carried({ ...one, index }, patternOf(10, 9))]);
    await expectRefused(image);
  }
});

it('a carried value in a grain map of several extents is damage', async () => {
  const fileSystem = memoryFileSystem();
  const lab = await openLab({ fileSystem });
  addMapTo(lab.core, { grains: 8000, further: [30, 3, 1] });
  const session = lab.session();
  session.push(patternOf(10));
  await session.commit();
  const image = await contentOf(fileSystem, labPath);
  await lab.kill();
  craft(image, (one) => {
    expect(one.bytes).toBe(undefined);
    return [carried(one, patternOf(10))];
  });
  await expectRefused(image);
});
