/**
 * Churn does not creep: after 200 rounds in which a twentieth of the bytes is replaced by values of
 * other lengths and a checkpoint frees them, the file is at most 1.5 times as long as what lives.
 */

import { expect, it } from 'vitest';
import { type GrainId, memoryFileSystem, Store } from '../../src/index.ts';
import { patternOf } from '../support/bytes.ts';
import { Random } from '../support/random.ts';

const mebibyte = 1024 * 1024;
const rounds = 200;
const valuesPerSession = 20;
const data = patternOf(2_000_000);

type Lengths = (random: Random) => number;

interface LiveValue {
  readonly id: GrainId;
  readonly length: number;
}

/** A store that always holds just as many bytes: the last value of a round is cut to fit. */
class Churn {
  readonly store: Store;
  readonly #random = new Random(1);
  readonly #lengthOf: Lengths;
  readonly #liveBytes: number;
  readonly #live: LiveValue[] = [];
  #bytes = 0;

  constructor(store: Store, liveBytes: number, lengthOf: Lengths) {
    this.store = store;
    this.#lengthOf = lengthOf;
    this.#liveBytes = liveBytes;
  }

  async fill(): Promise<void> {
    const fresh: LiveValue[] = [];
    while (this.#bytes < this.#liveBytes) {
      const session = this.store.session();
      for (let at = 0; at < valuesPerSession && this.#bytes < this.#liveBytes; at++) {
        const length = Math.min(this.#lengthOf(this.#random), this.#liveBytes - this.#bytes);
        fresh.push({ id: session.push(data.subarray(0, length)), length });
        this.#bytes += length;
      }
      session.commitSync();
    }
    this.#live.push(...fresh);
  }

  async round(): Promise<void> {
    const { store } = this;
    while (this.#bytes > this.#liveBytes * 0.95) {
      const session = store.session();
      for (let at = 0; at < valuesPerSession && this.#bytes > this.#liveBytes * 0.95; at++) {
        const pick = this.#random.below(this.#live.length);
        const gone = this.#live[pick] as LiveValue;
        this.#live[pick] = this.#live.at(-1) as LiveValue;
        this.#live.pop();
        session.archive(gone.id);
        this.#bytes -= gone.length;
      }
      session.commitSync();
    }
    await this.fill();
    await store.checkpointTo(store.currentBatch);
  }
}

/** Lengths of every size up to `most`, as many of each order of magnitude. */
function spread(most: number): Lengths {
  return (random) => Math.floor(10 * (most / 10) ** random.next());
}

/** Few long ones among many short ones: half are above `median`. */
function lognormal(median: number, sigma: number, most: number): Lengths {
  return (random) => {
    const normal = Math.sqrt(-2 * Math.log(1 - random.next())) * Math.cos(6.283 * random.next());
    return Math.min(most, Math.ceil(median * Math.exp(sigma * normal)));
  };
}

const mixes: [number, string, Lengths][] = [
  [8, 'of 4,096 bytes', () => 4096],
  [8, 'of up to 20,000 bytes', (random) => random.below(20_000)],
  [8, 'of 100 and of 8,000 bytes', (random) => (random.chance(0.5) ? 100 : 8000)],
  [8, 'of 256 to 8,000 bytes', (random) => 256 + random.below(7744)],
  [4, 'of 10 to 1,000 bytes', spread(1000)],
  [8, 'of about 200 bytes, up to 65,536', lognormal(200, 1.5, 65_536)],
  [8, 'of 1,000 to 64,000 bytes', (random) => 1000 + random.below(63_000)],
  [16, 'of 4,000 to 32,000 bytes', (random) => 4000 + random.below(28_000)],
  [16, 'of 50,000 to 150,000 bytes', (random) => 50_000 + random.below(100_000)],
  [24, 'of 10 to 300,000 bytes', spread(300_000)],
  [48, 'of 10 to 2,000,000 bytes', spread(2_000_000)],
];

it.each(mixes)('%d MiB of values %s are replaced in place', async (mebibytes, _, lengthOf) => {
  const store = await Store.open('churn', { fileSystem: memoryFileSystem() });
  const liveBytes = mebibytes * mebibyte;
  const churn = new Churn(store, liveBytes, lengthOf);
  await churn.fill();
  let most = 0;
  for (let round = 0; round < rounds; round++) {
    await churn.round();
    most = Math.max(most, store.statistics().fileBytes / liveBytes);
  }
  expect(most).toBeLessThan(1.5);
  const findings = [];
  for await (const finding of store.verify({ deep: true })) findings.push(finding);
  expect(findings).toEqual([]);
  await store.close();
});
