/**
 * The header that was chosen at opening was taken apart into what is settled and the rest; its
 * generation and `confirmed` stayed among what is settled, and overrode those of every header
 * written until the next settle. So recovery raised the epoch and confirmed nothing: the batches
 * before it counted as taken back, and after one more commit and another power cut the store was
 * refused as VARVE_CORRUPT ("the commit log has a gap").
 */

import { expect, it } from 'vitest';
import { decodeFileHeader } from '../../src/format/file-header.ts';
import { pageBytes, sectorBytes } from '../../src/format/layout.ts';
import { Store } from '../../src/index.ts';
import { type DiskState, powerCut, restarted } from '../support/disks/disk-state.ts';
import { SimulatedDisk } from '../support/disks/simulated-disk.ts';

function afterPowerCut(disk: SimulatedDisk): DiskState {
  return restarted(powerCut(disk.state, () => false));
}

it('a store that is cut, opened, committed to and cut again has every batch', async () => {
  let disk = new SimulatedDisk();
  const ids = [];
  for (let life = 0; life < 4; life++) {
    const store = await Store.open('store', { fileSystem: disk });
    expect(store.currentBatch).toBe(life);
    for (const id of ids) expect(store.get(id)?.length).toBe(100);
    ids.push((await store.put(new Uint8Array(100).fill(life))).id);
    for await (const finding of store.verify({ deep: true })) expect(finding).toBe(undefined);
    disk = new SimulatedDisk({ state: afterPowerCut(disk) });
  }
});

it('recovery confirms the last batch that it kept, in headers of rising generations', async () => {
  const first = new SimulatedDisk();
  const store = await Store.open('store', { fileSystem: first });
  await store.put(new Uint8Array(100));
  const second = new SimulatedDisk({ state: afterPowerCut(first) });
  const again = await Store.open('store', { fileSystem: second });
  const copy = (number: number) => {
    const sector = new Uint8Array(sectorBytes);
    second.read(sector, number * pageBytes);
    return decodeFileHeader(sector, number * pageBytes);
  };
  const told = (generation: number) => ({
    state: 'valid',
    header: { confirmed: 1, epoch: 2, generation },
  });
  expect(copy(1)).toMatchObject(told(3));
  await again.put(new Uint8Array(100));
  expect(copy(0)).toMatchObject(told(4));
  for await (const finding of again.verify({ deep: true })) expect(finding).toBe(undefined);
  await again.close();
});
