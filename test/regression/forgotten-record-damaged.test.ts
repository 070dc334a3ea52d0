/**
 * A record up to the checkpoint means nothing, but the reader of the retained log went no further
 * than a damaged one: neither the log nor another checkpoint could be had from then on.
 */

import { expect, it } from 'vitest';
import { sectorBytes } from '../../src/format/layout.ts';
import { memoryFileSystem, Store } from '../../src/index.ts';
import { patternOf } from '../support/bytes.ts';
import { check } from '../support/fixtures/store-checks.ts';

const path = 'store';

it.each([0, 0xa5])('the log is read past forgotten records filled with %i', async (filler) => {
  const fileSystem = memoryFileSystem();
  const first = await Store.open(path, { fileSystem });
  for (let at = 0; at < 10; at++) await first.put(patternOf(20, at));
  await first.checkpointTo(6);
  await first.close();
  const file = await fileSystem.open(path, { create: false, exclusive: false, readOnly: false });
  const sector = new Uint8Array(sectorBytes);
  for (let offset = 2 * sectorBytes; offset < file.length(); offset += sectorBytes) {
    file.readSync(sector, offset);
    const salted = sector.subarray(24, 30).every((byte, at) => byte === placeAt(offset, at));
    const batch = sector[16] as number;
    if (salted && batch >= 3 && batch <= 6) file.writeSync([sector.fill(filler)], offset);
  }
  await file.close();

  const store = await Store.open(path, { fileSystem });
  const batches: number[] = [];
  for await (const { batch } of store.commitLog()) batches.push(batch);
  expect(batches).toEqual([7, 8, 9, 10, 11]);
  await check.sound(store);
  await store.checkpointTo(9);
  await store.close();
});

/** A byte of a sector's number as a sector of the log has it. */
function placeAt(offset: number, byte: number): number {
  return byte < 4 ? ((offset / sectorBytes) >>> (byte * 8)) & 0xff : 0;
}
