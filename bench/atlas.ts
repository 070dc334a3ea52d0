/**
 * `npm run bench:atlas`: how quickly grains are given out, and whether that stays so: in strata
 * that are new, half full, fragmented and nearly full, with ten thousand values and with a million.
 *
 * Measured against the least that could be done (a pointer that moves on) and against a
 * `Map.set`, in the same run. In memory only: no file, no sync.
 */

import { AtlasBed, Dice } from './support/atlas-bed.ts';
import { countText, tableText, threeDigits, timeText } from './support/figures.ts';
import { type BenchTask, keepResults, measure, spreadOfTask } from './support/measuring.ts';

const sizes = [10_000, 1_000_000] as const;
const operations = 1_000;
const effort = { rounds: 2, time: 250 };

const hundredBytes = (): number => 100;

/** 1 to 16 grains of 32 bytes. */
function mixedLengths(): () => number {
  const dice = new Dice();
  return () => dice.next(500);
}

interface Row {
  readonly title: string;
  make(size: number): () => unknown;
}

/** One call does `operations` of them. */
function repeated(operation: () => unknown): () => void {
  return () => {
    for (let done = 0; done < operations; done++) operation();
  };
}

const baseline: readonly Row[] = [
  { title: 'a pointer that moves on', make: movingPointer },
  { title: 'Map.set in a map of so many', make: mapSet },
  { title: 'Map.get in a map of so many', make: mapGet },
];

const atlas: readonly Row[] = [
  { title: 'allocate, new stratum', make: allocateFresh },
  { title: 'allocate, half full', make: (size) => allocateIn(hundredBytes, size, 0.5) },
  {
    title: 'allocate, 1..16 grains, 3/4 full',
    make: (size) => allocateIn(mixedLengths(), size, 0.75),
  },
  { title: 'allocate, 99 % full', make: (size) => allocateIn(hundredBytes, size, 0.99) },
  { title: 'free one of them', make: freeFrom },
  { title: 'find one by its id', make: find },
];

// What is measured against.

function movingPointer(size: number): () => unknown {
  const places = new Float64Array(size);
  let next = 0;
  return repeated(() => {
    places[(next / 4) % size] = next;
    next += 4;
  });
}

function mapSet(size: number): () => unknown {
  const map = new Map<number, number>();
  for (let key = 0; key < size; key++) map.set(key, key);
  let next = size;
  return () => {
    for (let key = next - size; key < next - size + operations; key++) map.delete(key);
    const from = performance.now();
    for (let key = next; key < next + operations; key++) map.set(key, key);
    next += operations;
    return { overriddenDuration: performance.now() - from };
  };
}

function mapGet(size: number): () => unknown {
  const map = new Map<number, number>();
  for (let key = 0; key < size; key++) map.set(key, key);
  const dice = new Dice();
  let sum = 0;
  return repeated(() => {
    sum += map.get(dice.next(size)) as number;
    return sum;
  });
}

// The Atlas.

/** Starts again when there are `size` values. */
function allocateFresh(size: number): () => unknown {
  let bed = new AtlasBed(hundredBytes);
  return () => {
    if (bed.values >= size) bed = new AtlasBed(hundredBytes);
    for (let done = 0; done < operations; done++) bed.allocate();
  };
}

/** A stratum of which a part is in use: some values are freed, then as many are allocated. */
function allocateIn(lengths: () => number, size: number, part: number): () => unknown {
  const bed = new AtlasBed(lengths).fill(Math.floor(size / part)).thin(size);
  return () => {
    bed.thin(size - operations);
    const from = performance.now();
    for (let done = 0; done < operations; done++) bed.allocate();
    return { overriddenDuration: performance.now() - from };
  };
}

function freeFrom(size: number): () => unknown {
  const bed = new AtlasBed(hundredBytes).fill(size);
  return () => {
    bed.fill(size);
    const from = performance.now();
    for (let done = 0; done < operations; done++) bed.free();
    return { overriddenDuration: performance.now() - from };
  };
}

function find(size: number): () => unknown {
  const bed = new AtlasBed(hundredBytes).fill(size);
  const dice = new Dice();
  let found = 0;
  return repeated(() => {
    const index = bed.indexAt(dice.next(size));
    found += bed.atlas.find({ basin: 0, stratum: 0, index })?.count ?? 0;
    return found;
  });
}

/** Measures the rows at both sizes; gives the table and the figures. */
async function show(rows: readonly Row[]): Promise<unknown> {
  const lines: string[][] = [];
  const results: unknown[] = [];
  for (const { title, make } of rows) {
    const tasks = sizes.map(
      (size): BenchTask => ({
        name: countText(size),
        operations,
        async: false,
        run: make(size),
      }),
    );
    const spreads = await measure(tasks, effort);
    const [small, large] = sizes.map((size) => spreadOfTask(spreads, countText(size)));
    if (small === undefined || large === undefined) throw new Error('two sizes are measured');
    const range = `${timeText(large.p25)} .. ${timeText(large.p75)}`;
    const millions = threeDigits(1 / (large.median * 1e3));
    const growth = threeDigits(large.median / small.median);
    lines.push([title, timeText(small.median), timeText(large.median), range, millions, growth]);
    results.push({ title, sizes, milliseconds: [small, large] });
  }
  const [few, many] = sizes.map((size) => `${countText(size)}`);
  const heading = ['', `${few} values`, `${many} values`, 'p25 .. p75', 'million/s', 'ratio'];
  console.log(`${tableText(heading, lines)}\n`);
  return results;
}

console.log(
  'Values of 100 bytes (4 grains) unless it says so; medians for one operation, in memory.',
);
console.log('Freeing and finding pick values at random, so a million of them miss the cache.\n');
const results = { baseline: await show(baseline), atlas: await show(atlas) };
console.log(`Kept in ${keepResults('atlas', results)}`);
