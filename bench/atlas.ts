/**
 * `npm run bench -- atlas`: how quickly grains are given out and taken back, and whether that stays
 * so: in strata that are new, half full, three quarters full and nearly full, from ten thousand
 * grains to a hundred million.
 *
 * In memory only: no file, no sync. An operation is a pair, one reserve and one release. Values are
 * picked at random, but where it says 'new' and 'in order'. The floor does the same random picking
 * with a bare bitmap: what it loses with size is cache misses alone.
 */

import { join } from 'node:path';
import { AtlasBed, Dice, type Treatment } from './support/atlas-bed.ts';
import { BitmapFloor } from './support/bitmap-floor.ts';
import type { Contestant } from './support/contestant.ts';
import { countText, tableText, threeDigits } from './support/figures.ts';
import type { Figures, Goal } from './support/goals.ts';
import { ask, type FreeResult, type FreeSection } from './support/question.ts';
import { measureInTurn } from './support/turns.ts';

/** Values that a stratum has room for, and the grains of each. */
const sizes = [1e3, 1e4, 1e5, 1e6, 1e7] as const;
const grains = 10;
const floorName = 'bare bitmap';

/** With the 8 bytes in front of it, ten grains of 32 bytes. */
const tenGrains = (): number => 300;

/** 1 to 16 grains of 32 bytes. */
function mixedLengths(): () => number {
  const dice = new Dice();
  return () => dice.next(500);
}

interface Fill {
  readonly name: string;
  make(size: number, treatment: Treatment): Contestant;
}

const fills: readonly Fill[] = [
  { name: 'new', make: growing },
  { name: 'half full, in order', make: inOrder },
  { name: 'half full, fragmented', make: partly(() => tenGrains, 0.5) },
  { name: '3/4 full, 1..16 grains', make: partly(mixedLengths, 0.75) },
  { name: '99 % full', make: partly(() => tenGrains, 0.99) },
];

const titles: Record<Treatment, string> = {
  reservations: 'reserve + release, million pairs/s',
  values: 'reserve + commit + archive + release, million values/s',
};

/** Pairs in one run, about: many more than the clock costs. */
const pairs = 2_000;

/** The largest take long to fill, so only what the goals are about is measured with them. */
function sizesOf(treatment: Treatment, quick: boolean): readonly number[] {
  const left = (quick ? 1 : 0) + (treatment === 'values' ? 1 : 0);
  return sizes.slice(0, sizes.length - left);
}

/** How many are released before as many are reserved: fewer where there are few. */
function groupOf(size: number): number {
  return Math.min(pairs, size / 100);
}

/** Values that lie side by side are released one after the other: no cache is missed. */
function inOrder(size: number, treatment: Treatment): Contestant {
  return {
    name: 'in order',
    kind: 'varve',
    operations: pairs,
    open() {
      const bed = new AtlasBed(tenGrains, treatment).fill(size).thin(size / 2);
      return { run: () => bed.churn(pairs, groupOf(size), 'in order') };
    },
  };
}

/** What is reserved is new space; half as much is given back, from the end. */
function growing(size: number, treatment: Treatment): Contestant {
  const group = groupOf(size);
  const groups = Math.min(pairs, size / 4) / group;
  return {
    name: 'new',
    kind: 'varve',
    operations: group * groups * 1.5,
    open() {
      const begin = (): AtlasBed => new AtlasBed(tenGrains, treatment).fill(size / 2);
      let bed = begin();
      return {
        before() {
          if (bed.values + (groups + 1) * group > size) bed = begin();
        },
        run() {
          for (let each = 0; each < groups; each++) {
            bed.fill(bed.values + 2 * group);
            bed.freeLast(group);
          }
        },
      };
    },
  };
}

/** A stratum of which a part is in use, the rest in holes: it was full before. */
function partly(lengths: () => () => number, part: number): Fill['make'] {
  return (size, treatment) => {
    return {
      name: String(part),
      kind: 'varve',
      operations: pairs,
      open() {
        const bed = new AtlasBed(lengths(), treatment).fill(size).thin(Math.ceil(size * part));
        return { run: () => bed.churn(pairs, groupOf(size), 'at random') };
      },
    };
  };
}

function floor(size: number): Contestant {
  return {
    name: floorName,
    kind: 'floor',
    operations: pairs,
    open() {
      const bed = new BitmapFloor(size, grains);
      return { run: () => bed.churn(pairs, groupOf(size)) };
    },
  };
}

/**
 * Held for good: when the last object of a class is collected, the engine forgets what it knew of
 * it, and what is measured next would run uncompiled.
 */
const held: unknown[] = [];

/** So that the first that is measured is not the only one that the engine does not know yet. */
async function warmUp(treatment: Treatment, folder: string): Promise<void> {
  held.push(new BitmapFloor(100, grains), new AtlasBed(tenGrains, treatment).fill(100).thin(50));
  for (const size of [1e3, 1e5]) {
    const contestants = [floor(size), ...fills.map(({ make }) => make(size, treatment))];
    const effort = { rounds: 2, slice: 40, warmUp: 0 };
    await measureInTurn(contestants, effort, join(folder, `warm-up-${size}`));
  }
}

/** Million a second, by contestant and size. */
type Rates = Map<string, number[]>;

async function ratesOf(treatment: Treatment, quick: boolean, folder: string): Promise<Rates> {
  const rates: Rates = new Map([floorName, ...fills.map(({ name }) => name)].map((n) => [n, []]));
  const effort = quick
    ? { rounds: 3, slice: 15, warmUp: 10 }
    : { rounds: 4, slice: 80, warmUp: 30 };
  await warmUp(treatment, folder);
  for (const size of sizesOf(treatment, quick)) {
    // One kind of fill after the other: those of the largest size take much memory.
    for (const [at, { name, make }] of fills.entries()) {
      const contestants = [make(size, treatment), ...(name === 'new' ? [floor(size)] : [])];
      const measured = await measureInTurn(contestants, effort, join(folder, `${size}-${at}`));
      for (const { contestant, rate, failure } of measured) {
        if (failure !== undefined) throw new Error(`${name}: ${failure}`);
        const row = contestant.kind === 'floor' ? floorName : name;
        rates.get(row)?.push(rate.median / 1e6);
      }
      globalThis.gc?.();
    }
  }
  return rates;
}

function slowest(rates: readonly number[]): number {
  return Math.min(...rates);
}

function unevenness(rates: readonly number[]): number {
  return Math.max(...rates) / slowest(rates);
}

function resultOf(treatment: Treatment, rates: Rates, quick: boolean): FreeResult {
  const chosen = sizesOf(treatment, quick);
  const floors = rates.get(floorName) ?? [];
  const rows = [...rates].map(([name, row]) => [
    name === floorName ? `floor: ${name}` : name,
    ...row.map(threeDigits),
    threeDigits(unevenness(row)),
    name === floorName ? '' : threeDigits((floors.at(-1) ?? Number.NaN) / (row.at(-1) as number)),
  ]);
  const heading = ['', ...chosen.map((size) => `${countText(size * grains)} grains`)];
  const text = [
    tableText([...heading, 'best/worst', 'x floor at the end'], rows),
    'As many values as a tenth of the grains would fill the stratum. Medians of slices.',
    'What the floor loses with size are cache misses: it does nothing but pick at random.',
  ].join('\n');
  const figures: Record<string, number> = {};
  for (const [name, row] of rates) {
    figures[`slowest, ${name}`] = slowest(row);
    figures[`unevenness, ${name}`] = unevenness(row);
  }
  const curves = [...rates].map(([name, row]) => ({
    name,
    kind: name === floorName ? ('floor' as const) : ('varve' as const),
    points: row.map((rate, at) => [(chosen[at] as number) * grains, rate] as const),
  }));
  const scale = { of: 'count', unit: 'million/s' } as const;
  const title = titles[treatment];
  return {
    text,
    figures,
    charts: [{ shape: 'curves', title, scale, over: 'grains', curves }],
  };
}

function section(treatment: Treatment, quick: boolean): FreeSection {
  return {
    title: titles[treatment],
    measure: async (folder) => resultOf(treatment, await ratesOf(treatment, quick, folder), quick),
  };
}

function flatness({ name }: Fill): Goal {
  return {
    text: `${name}: fastest size / slowest <= 1.5`,
    most: 1.5,
    value: ({ figure }) => figure(titles.reservations, `unevenness, ${name}`),
  };
}

function slowestOfAll({ figure }: Figures): number {
  return slowest(fills.map(({ name }) => figure(titles.reservations, `slowest, ${name}`)));
}

await ask({
  name: 'atlas',
  title: 'Giving out grains and taking them back, by how many there are',
  peers: false,
  sections: (quick) => [section('reservations', quick), section('values', quick)],
  goals: [
    { text: 'any fill, any size >= 3 million pairs/s', least: 3, value: slowestOfAll },
    ...fills.map(flatness),
  ],
});
