/**
 * `npm run scale -- N`: N values of 100 bytes are stored, then some of them are replaced at random,
 * and the memory of the process is printed as it goes: the line has to be flat.
 *
 * The ids of a sample are kept, in memory that is taken before anything is measured. Ends with an
 * error where the process takes 200 MiB or more over the cache.
 */

import { join } from 'node:path';
import { withDiskFolder } from '../bench/support/disk-folder.ts';
import { countText, mebibytesText, plural } from '../bench/support/figures.ts';
import { GrainId, Store } from '../src/index.ts';

const mebibyte = 1024 ** 2;
const valueBytes = 100;
const valuesPerCommit = 10_000;
/** Values of a commit that replaces some. */
const replacedPerCommit = 500;
/** Commits that one checkpoint frees. */
const commitsPerCheckpoint = 10;
const sampleMax = 1_000_000;
const linesPerPhase = 10;
const cacheBytes = 64 * mebibyte;
const overCacheMax = 200 * mebibyte;

/** Random numbers below `limit`, the same in each run. */
function numbers(): (limit: number) => number {
  let state = 0x2545f491;
  return (limit) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % limit;
  };
}

/** Ids of values that are spread over all that were stored. */
class Sample {
  readonly #ids = new BigUint64Array(sampleMax).fill(1n);
  readonly #below = numbers();
  #seen = 0;

  get size(): number {
    return Math.min(this.#seen, sampleMax);
  }

  /** Keeps the id of one in so many that each is as likely to be there. */
  add(id: GrainId): void {
    this.#seen += 1;
    const at = this.#seen <= sampleMax ? this.#seen - 1 : this.#below(this.#seen);
    if (at < sampleMax) this.#ids[at] = id;
  }

  /** A place in it; `id` and `replace` name its value. */
  any(): number {
    return this.#below(this.size);
  }

  id(at: number): GrainId {
    return GrainId.from(this.#ids[at] as bigint);
  }

  replace(at: number, id: GrainId): void {
    this.#ids[at] = id;
  }
}

function line(what: string): void {
  const { rss, heapUsed, arrayBuffers } = process.memoryUsage();
  const texts = { RSS: rss, heap: heapUsed, buffers: arrayBuffers };
  const all = Object.entries(texts).map(([name, bytes]) => `${name} ${mebibytesText(bytes)}`);
  console.log(`${what}: ${all.join(', ')}`);
}

const value = new Uint8Array(valueBytes).fill(7);

async function write(store: Store, count: number, sample: Sample): Promise<void> {
  const from = performance.now();
  const every = Math.ceil(count / linesPerPhase / valuesPerCommit) * valuesPerCommit;
  for (let written = 0; written < count; ) {
    const session = store.session();
    for (let at = 0; at < valuesPerCommit; at++) sample.add(session.push(value));
    session.commitSync();
    written += valuesPerCommit;
    if (written % every === 0) line(`${countText(written)} values written`);
    if ((written / valuesPerCommit) % 64 === 0) await new Promise(setImmediate);
  }
  const seconds = (performance.now() - from) / 1e3;
  console.log(`${countText(count / seconds)} values/s`);
}

async function churn(store: Store, count: number, sample: Sample): Promise<void> {
  const from = performance.now();
  const commits = Math.ceil(count / replacedPerCommit);
  const every = Math.ceil(commits / linesPerPhase);
  for (let commit = 1; commit <= commits; commit++) {
    const session = store.session();
    const places = new Set<number>();
    while (places.size < replacedPerCommit) places.add(sample.any());
    for (const at of places) {
      session.archive(sample.id(at));
      sample.replace(at, session.push(value));
    }
    if (commit % commitsPerCheckpoint === 0) session.checkpointTo(store.currentBatch);
    session.commitSync();
    if (commit % every === 0) line(`${countText(commit * replacedPerCommit)} values replaced`);
    if (commit % 64 === 0) await new Promise(setImmediate);
  }
  const seconds = (performance.now() - from) / 1e3;
  console.log(`${countText((commits * replacedPerCommit) / seconds)} values replaced a second`);
}

/** Stores `count` values and replaces a thirtieth of them, at most a million. */
export async function showMemory(count: number): Promise<void> {
  await withDiskFolder('varve-memory-', async (folder) => {
    const sample = new Sample();
    line(
      `${plural(count, 'value')} of ${valueBytes} bytes, a cache of ${mebibytesText(cacheBytes)}`,
    );
    const before = process.memoryUsage.rss();
    const store = await Store.open(join(folder, 'memory.varve'), { cacheBytes });
    await write(store, count, sample);
    await churn(store, Math.min(1_000_000, count / 30), sample);
    await store.close();
    const peak = process.resourceUsage().maxRSS * 1024 - before;
    const over = peak - cacheBytes;
    console.log(
      `peak ${mebibytesText(peak)} over the start, ${mebibytesText(over)} over the cache`,
    );
    if (over >= overCacheMax) throw new Error(`more than ${mebibytesText(overCacheMax)}`);
  });
}
