/**
 * `npm run scale`: a million values of 100 bytes over 10,000 commits are stored, found again after
 * a clean close and after none, and read back, with the times, the reads and the memory.
 *
 * With a number it stores so many values and shows the memory instead (`scale-memory.ts`).
 * Run by hand (a quarter of a minute). Ends with an error where a value is not what was stored,
 * where opening reads more than 4 MiB, or where the process takes 300 MiB or more.
 */

import { copyFileSync } from 'node:fs';
import { join } from 'node:path';
import { CountingFileSystem } from '../bench/support/counting-file-system.ts';
import { withDiskFolder } from '../bench/support/disk-folder.ts';
import {
  bytesText,
  countText,
  mebibytesText,
  plural,
  threeDigits,
  timeText,
} from '../bench/support/figures.ts';
import { GrainId, nodeFileSystem, Store } from '../src/index.ts';
import { showMemory } from './scale-memory.ts';

const commits = 10_000;
const valuesPerCommit = 100;
const valueBytes = 100;
const memoryMax = 300 * 1024 ** 2;
const readAtOpenMax = 4 * 1024 ** 2;

const words = new Uint32Array(valueBytes / 4);
const value = new Uint8Array(words.buffer);

/** The bytes of the value with this number; the same memory each time. */
function contentOf(number: number): Uint8Array {
  for (let at = 0; at < words.length; at++) words[at] = Math.imul(number + at, 0x9e3779b1) ^ at;
  return value;
}

async function load(store: Store): Promise<BigUint64Array> {
  const ids = new BigUint64Array(commits * valuesPerCommit);
  let number = 0;
  for (let commit = 0; commit < commits; commit++) {
    const session = store.session();
    for (let count = 0; count < valuesPerCommit; count++) {
      ids[number] = session.push(contentOf(number));
      number += 1;
    }
    // By turns on this thread and not, as both are to be trusted with it.
    if (commit % 2 === 0) session.commitSync();
    else await session.commit();
  }
  return ids;
}

function readBack(store: Store, ids: BigUint64Array): void {
  for (const [number, id] of ids.entries()) {
    const found = store.get(GrainId.from(id));
    if (found === undefined || Buffer.compare(found, contentOf(number)) !== 0) {
      throw new Error(`value ${number} did not come back as it was stored`);
    }
  }
}

/** Opens the store, reads everything back, and says what that took. */
async function reopen(title: string, path: string, ids: BigUint64Array): Promise<void> {
  const fileSystem = new CountingFileSystem(nodeFileSystem);
  const beforeOpen = performance.now();
  const store = await Store.open(path, { create: false, fileSystem });
  const openTime = performance.now() - beforeOpen;
  const { reads, bytesRead } = fileSystem;
  const { clean, replayedBatches } = store.recovery;
  const beforeRead = performance.now();
  readBack(store, ids);
  const readTime = performance.now() - beforeRead;
  const beforeFirst = performance.now();
  store.session().push(value);
  const firstTime = performance.now() - beforeFirst;
  console.log(
    `${title}: open ${timeText(openTime)}, ${plural(reads, 'read')} of ${bytesText(bytesRead)}, ` +
      `${plural(replayedBatches, 'batch', 'batches')} replayed, ${clean ? '' : 'not '}closed; ` +
      `all read back in ${timeText(readTime)} (${threeDigits((readTime / ids.length) * 1e3)} us ` +
      `each); first push ${timeText(firstTime)}; ${memoryText()}`,
  );
  if (bytesRead > readAtOpenMax) throw new Error(`opening read ${bytesText(bytesRead)}`);
  for await (const { message } of store.verify({ deep: true })) throw new Error(message);
  await store.close();
}

function memoryText(): string {
  return `RSS ${mebibytesText(process.memoryUsage.rss())}`;
}

async function storeAndReopen(folder: string): Promise<void> {
  const path = join(folder, 'scale.varve');
  const unclosed = join(folder, 'unclosed.varve');
  const store = await Store.open(path);
  const from = performance.now();
  const ids = await load(store);
  const time = performance.now() - from;
  const { fileBytes, commitLogBytes, valueBytes: bytes, syncs } = store.statistics();
  console.log(
    `${plural(ids.length, 'value')} of ${valueBytes} bytes over ${plural(commits, 'commit')}: ` +
      `${timeText(time)}, ${countText((ids.length / time) * 1e3)} values/s, ` +
      `${plural(syncs, 'sync')}; ${memoryText()}`,
  );
  console.log(
    `file ${bytesText(fileBytes)} for ${bytesText(bytes)} (${threeDigits(fileBytes / bytes)} ` +
      `times), of which ${bytesText(commitLogBytes)} are the commit log`,
  );
  copyFileSync(path, unclosed);
  const beforeClose = performance.now();
  await store.close();
  console.log(`closed in ${timeText(performance.now() - beforeClose)}`);
  await reopen('closed  ', path, ids);
  await reopen('unclosed', unclosed, ids);
  const peak = process.resourceUsage().maxRSS * 1024;
  console.log(`peak RSS ${mebibytesText(peak)}`);
  if (peak >= memoryMax) throw new Error(`more than ${mebibytesText(memoryMax)}`);
}

const [asked] = process.argv.slice(2);
if (asked === undefined) await withDiskFolder('varve-scale-', storeAndReopen);
else await showMemory(Number(asked));
