/**
 * `npm run scale:ids`: ten million values in one stratum are stored, found after reopening, and in
 * part freed and stored again, with the times and the memory.
 *
 * Run by hand (a minute or so). Ends with an error where a value is not what was stored, or where
 * they are not all in one stratum.
 */

import { join } from 'node:path';
import { CountingFileSystem } from '../bench/support/counting-file-system.ts';
import { withDiskFolder } from '../bench/support/disk-folder.ts';
import { bytesText, countText, mebibytesText, timeText } from '../bench/support/figures.ts';
import { GrainId, nodeFileSystem, Store } from '../src/index.ts';

const values = 10_000_000;
const valuesPerCommit = 10_000;

const value = new Uint8Array(8);
const numbers = new Uint32Array(value.buffer);

function contentOf(number: number): Uint8Array {
  numbers[0] = number;
  numbers[1] = Math.imul(number, 0x9e3779b1);
  return value;
}

async function push(store: Store, ids: BigUint64Array, chosen: Iterable<number>): Promise<void> {
  let session = store.session();
  let count = 0;
  for (const number of chosen) {
    ids[number] = session.push(contentOf(number));
    count += 1;
    if (count % valuesPerCommit > 0) continue;
    await session.commit();
    session = store.session();
  }
  await session.commit();
}

async function archive(store: Store, ids: BigUint64Array, chosen: Iterable<number>): Promise<void> {
  let session = store.session();
  let count = 0;
  for (const number of chosen) {
    session.archive(GrainId.from(ids[number] as bigint));
    count += 1;
    if (count % valuesPerCommit > 0) continue;
    await session.commit();
    session = store.session();
  }
  await session.commit();
  await store.checkpointTo(store.currentBatch);
}

function readBack(store: Store, ids: BigUint64Array): void {
  for (const [number, id] of ids.entries()) {
    const found = store.get(GrainId.from(id));
    if (found === undefined || Buffer.compare(found, contentOf(number)) !== 0) {
      throw new Error(`value ${number} did not come back as it was stored`);
    }
  }
}

function* every(step: number): Generator<number> {
  for (let number = 0; number < values; number += step) yield number;
}

/** Runs one step, which may deal with so many values, and prints its time and the memory. */
async function step(title: string, count: number, work: () => unknown): Promise<void> {
  const from = performance.now();
  await work();
  const time = performance.now() - from;
  const each = count === 0 ? '' : `, ${timeText(time / count)} each`;
  const memory = mebibytesText(process.memoryUsage.rss());
  console.log(`${title.padEnd(34)} ${timeText(time).padStart(8)}${each}, RSS ${memory}`);
}

function sayStrata(store: Store): void {
  const { fileBytes, commitLogBytes, strata } = store.statistics();
  const used = strata.filter(({ allocated }) => allocated > 0);
  for (const { basin, stratum, grainBytes, allocated, free } of used) {
    console.log(
      `  stratum ${basin}-${stratum}: ${countText(allocated)} grains of ${grainBytes} bytes in ` +
        `use, ${countText(free)} free`,
    );
  }
  console.log(`  file ${bytesText(fileBytes)}, commit log ${bytesText(commitLogBytes)}`);
  if (used.length !== 1) throw new Error('the values are not in one stratum');
}

await withDiskFolder('varve-ids-', async (folder) => {
  const path = join(folder, 'ids.varve');
  const fileSystem = new CountingFileSystem(nodeFileSystem);
  const ids = new BigUint64Array(values);
  let store = await Store.open(path);
  await step(`${countText(values)} values of 8 bytes`, values, () => push(store, ids, every(1)));
  sayStrata(store);
  await step('close', 0, () => store.close());
  await step('open', 0, async () => {
    store = await Store.open(path, { create: false, fileSystem });
  });
  console.log(`  ${fileSystem.reads} reads of ${bytesText(fileSystem.bytesRead)}`);
  await step('read all back', values, () => readBack(store, ids));
  await step('archive and free every tenth', values / 10, () => archive(store, ids, every(10)));
  await step('store them again', values / 10, () => push(store, ids, every(10)));
  sayStrata(store);
  await step('read all back', values, () => readBack(store, ids));
  await step('verify', values, async () => {
    for await (const { message } of store.verify({ deep: true })) throw new Error(message);
  });
  await store.close();
  console.log(`peak RSS ${mebibytesText(process.resourceUsage().maxRSS * 1024)}`);
});
