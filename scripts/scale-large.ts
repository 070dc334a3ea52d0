/**
 * `npm run scale:large`: values from nothing to 1 GiB go in by `put` and `push` and come back by
 * `get` and `getAsync`, with the time and the peak of memory beyond the value itself.
 *
 * Each way in and out runs in a process of its own, as a peak never goes down. Ends with an error
 * where bytes differ, or where a way takes a second copy of a large value. Run by hand (half a
 * minute, 3 GiB of memory, 3 GB of disk).
 */

import { spawnSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { withDiskFolder } from '../bench/support/disk-folder.ts';
import { bytesText, mebibytesText, tableText, timeText } from '../bench/support/figures.ts';
import { GrainId, Store } from '../src/index.ts';

const mebibyte = 1024 ** 2;
const sizes = [0, 1, mebibyte, 64 * mebibyte, 1024 * mebibyte];
/** The store's own: its read cache, pieces under way, what the compiler and collector do. */
const memoryBesideMax = 128 * mebibyte;

/** What a process of its own found out. */
interface Figures {
  readonly milliseconds: number;
  /** Highest memory while it ran, over that before it began, without the value that it made. */
  readonly beside: number;
  readonly peak: number;
  readonly id: string;
}

type Way = 'put' | 'push' | 'get' | 'getAsync';

/** Calls `visit` with each 32-bit word of the value and what it has to be. */
function pattern(value: Uint8Array, visit: (words: Uint32Array, at: number, word: number) => void) {
  const words = new Uint32Array(value.buffer, value.byteOffset, value.length >>> 2);
  for (let at = 0; at < words.length; at++) visit(words, at, Math.imul(at, 0x9e3779b1));
}

function made(size: number): Uint8Array {
  const value = new Uint8Array(size).fill(7);
  pattern(value, (words, at, word) => {
    words[at] = word;
  });
  return value;
}

function check(value: Uint8Array | undefined, size: number): void {
  if (value?.length !== size) throw new Error(`${value?.length} bytes came back of ${size}`);
  pattern(value, (words, at, word) => {
    if (words[at] !== word >>> 0) throw new Error(`the bytes differ at ${at * 4}`);
  });
}

const peakNow = (): number => process.resourceUsage().maxRSS * 1024;

// ── in a process of its own ──

async function store(way: 'put' | 'push', path: string, size: number): Promise<Figures> {
  const target = await Store.open(path);
  const value = made(size);
  const before = peakNow();
  const from = performance.now();
  let id: GrainId;
  if (way === 'put') ({ id } = await target.put(value));
  else {
    const session = target.session();
    id = session.push(value);
    await session.commit();
  }
  const milliseconds = performance.now() - from;
  const peak = peakNow();
  await target.close();
  return { milliseconds, beside: peak - before, peak, id: GrainId.format(id) };
}

async function fetch(way: 'get' | 'getAsync', path: string, id: GrainId): Promise<Figures> {
  const source = await Store.open(path, { create: false });
  const size = source.lengthOf(id) ?? 0;
  const before = peakNow();
  const from = performance.now();
  const value = way === 'get' ? source.get(id) : await source.getAsync(id);
  const milliseconds = performance.now() - from;
  const peak = peakNow();
  check(value, size);
  await source.close();
  return { milliseconds, beside: peak - before - size, peak, id: GrainId.format(id) };
}

async function runOne([way = '', path = '', what = '']: readonly string[]): Promise<void> {
  const stores = way === 'put' || way === 'push';
  const figures = stores
    ? await store(way, path, Number(what))
    : await fetch(way as 'get' | 'getAsync', path, GrainId.parse(what));
  console.log(JSON.stringify(figures));
}

// ── the whole ──

function inOwnProcess(way: Way, path: string, what: string): Figures {
  const args = [fileURLToPath(import.meta.url), way, path, what];
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`${way} ${what}: ${stderr}`);
  return JSON.parse(stdout) as Figures;
}

async function runAll(folder: string): Promise<void> {
  const rows: string[][] = [];
  const add = (size: number, way: Way, { milliseconds, beside, peak }: Figures): void => {
    const speed = size < mebibyte ? '' : (size / 1e3 / milliseconds).toFixed(0);
    const name = size < mebibyte ? bytesText(size) : mebibytesText(size);
    const cells = [name, way, timeText(milliseconds), speed];
    rows.push([...cells, mebibytesText(peak), mebibytesText(Math.max(0, beside))]);
    if (beside > memoryBesideMax) throw new Error(`${way}: ${mebibytesText(beside)} beside it`);
  };
  for (const size of sizes) {
    for (const way of ['put', 'push'] as const) {
      const path = join(folder, `${way}.varve`);
      const stored = inOwnProcess(way, path, String(size));
      add(size, way, stored);
      const back = way === 'put' ? 'getAsync' : 'get';
      add(size, back, inOwnProcess(back, path, stored.id));
      rmSync(path);
    }
  }
  const heading = ['value', 'way', 'time', 'MB/s', 'peak RSS', 'beside it'];
  console.log(tableText(heading, rows));
}

const asked = process.argv.slice(2);
if (asked.length > 0) await runOne(asked);
else await withDiskFolder('varve-large-', runAll);
