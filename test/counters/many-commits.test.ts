/**
 * What a thousand commits write, with everything that rides on them: settles, headers, segments of
 * the log, space ahead. Regions and bytes of a commit on the average, within bounds.
 *
 * The bounds leave about a tenth of room over what was measured (it is printed), so that one more
 * region or a write made twice fails.
 */

import { afterAll, describe, expect, it } from 'vitest';
import { sectorBytes } from '../../src/format/layout.ts';
import type { GrainId, Store } from '../../src/index.ts';
import { patternOf } from '../support/bytes.ts';
import { check } from '../support/fixtures/store-checks.ts';
import { Random } from '../support/random.ts';
import { CountedDisk, grainBytes } from './counted-disk.ts';

const commitCount = 1000;
const lengthMax = 4096;
const pattern = patternOf(lengthMax);

interface Workload {
  readonly name: string;
  lengths(random: Random): number[];
  /** Which of the live values go when as many come: the oldest, any, or none. */
  readonly leaving?: 'oldest' | 'any';
  /** Nothing is checkpointed: with every tenth commit what was archived is, where not told. */
  readonly logIsKept?: boolean;
  /** Regions a commit, at most. */
  readonly regions: number;
  /** Bytes written for each byte of grains and of a sector for the record, at most. */
  readonly bytes: number;
}

/** So many values stay. */
const liveMost = 2000;

const tenValues = (): number[] => Array<number>(10).fill(100);
const mixed = (random: Random): number[] =>
  Array.from({ length: 1 + random.below(20) }, () => random.below(lengthMax + 1));

/**
 * Bytes: in a file that grows each byte of a small commit is written twice, first as a zero ahead of
 * need, or in a record and later in its grains; a log that grows is so three times, since its segments are zeros before they are used. In a
 * file that does not grow there are the segments' zeros, and what is settled.
 */
const workloads: readonly Workload[] = [
  { name: 'one value, all kept', lengths: () => [16], regions: 1.1, bytes: 2.45, logIsKept: true },
  { name: 'one value, growing', lengths: () => [16], regions: 1.1, bytes: 2.2 },
  { name: 'ten values, growing', lengths: tenValues, regions: 2.2, bytes: 2.25 },
  { name: 'values of all sizes, growing', lengths: mixed, regions: 2.5, bytes: 2.25 },
  {
    name: 'ten values for the ten oldest',
    lengths: tenValues,
    leaving: 'oldest',
    regions: 2.3,
    bytes: 1.5,
  },
  {
    name: 'values of all sizes for the oldest',
    lengths: mixed,
    leaving: 'oldest',
    regions: 3.6,
    bytes: 1.15,
  },
  {
    name: 'ten values for any ten',
    lengths: tenValues,
    leaving: 'any',
    regions: 3.9,
    bytes: 1.75,
  },
];

const told: string[] = [];

class Run {
  readonly #workload: Workload;
  readonly #store: Store;
  readonly #random = new Random(7);
  readonly #live: GrainId[] = [];
  /** Bytes of grains, and of a sector for each commit. */
  bytes = 0;

  constructor(workload: Workload, store: Store) {
    this.#workload = workload;
    this.#store = store;
  }

  commits(): void {
    const { leaving, logIsKept = false } = this.#workload;
    for (let batch = 0; batch < commitCount; batch++) {
      const session = this.#store.session();
      const lengths = this.#workload.lengths(this.#random);
      if (leaving !== undefined && this.#live.length > liveMost) {
        for (const _ of lengths) session.archive(this.#next(leaving));
      }
      for (const length of lengths) {
        this.#live.push(session.push(pattern.subarray(0, length)));
        this.bytes += grainBytes(length);
      }
      if (batch % 10 === 9 && !logIsKept) session.checkpointTo(this.#store.currentBatch);
      session.commitSync();
      this.bytes += sectorBytes;
    }
  }

  #next(leaving: 'oldest' | 'any'): GrainId {
    const at = leaving === 'any' ? this.#random.below(this.#live.length) : 0;
    return this.#live.splice(at, 1)[0] as GrainId;
  }
}

describe('a thousand commits, with settles, headers, log segments and space ahead,', () => {
  it.each(workloads.map((workload) => [workload.name, workload] as const))(
    'of %s stay within their bounds',
    async (_, workload) => {
      const disk = new CountedDisk();
      const store = await disk.open();
      const run = new Run(workload, store);
      // What is looked at is the second thousand: the store has its size, where it has one.
      run.commits();
      run.bytes = 0;
      const counts = await disk.during(() => run.commits());
      const regions = counts.regions / commitCount;
      const bytes = counts.bytesWritten / run.bytes;
      told.push(`${workload.name}: ${regions} regions, ${bytes.toFixed(3)} x its bytes`);
      expect(counts.syncs).toBe(commitCount);
      expect(regions).toBeLessThanOrEqual(workload.regions);
      expect(bytes).toBeLessThanOrEqual(workload.bytes);
      await check.sound(store);
      await store.close();
    },
  );

  afterAll(() => {
    console.log(['a commit of', ...told].join('\n  '));
  });
});
