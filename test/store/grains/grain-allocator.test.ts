/**
 * The grain allocator against arrays of booleans: it finds a free run wherever there is one, gives
 * out nothing twice, and looks at little, whatever has happened before.
 */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { grainsPerMarkPage } from '../../../src/format/layout.ts';
import { GrainAllocator, longestRoomyRun } from '../../../src/store/grains/grain-allocator.ts';
import { MarkPage, unwrittenPage } from '../../../src/store/marks/mark-page.ts';

const stride = 100_000;

/** A page that counts how often a word of its bitmap is read. */
class CountingPage extends MarkPage {
  static words = 0;
  #counted: Uint32Array | undefined;

  override get taken(): Uint32Array {
    this.#counted ??= new Proxy(super.taken, {
      get(words, at) {
        CountingPage.words += 1;
        return Reflect.get(words, at);
      },
      set: (words, at, value) => Reflect.set(words, at, value),
    });
    return this.#counted;
  }
}

/** Any run may be broken up, or none. */
function roomy(plenty: boolean): number {
  return plenty ? Number.POSITIVE_INFINITY : 0;
}

/** The marks of pages that were evicted. */
const stored = new WeakMap<MarkPage, Uint8Array>();

function load(page: MarkPage): void {
  if (!page.loaded) page.load(stored.get(page), 0);
}

interface Pages {
  readonly allocator: GrainAllocator;
  readonly pages: readonly MarkPage[];
  pageAt(index: number): MarkPage;
}

function pagesOf(sizes: readonly number[], Page: typeof MarkPage = MarkPage): Pages {
  const allocator = new GrainAllocator(load);
  const pages = sizes.map((grains, ordinal) => {
    const page = new Page({ ordinal, firstIndex: ordinal * stride, grains }, unwrittenPage);
    allocator.add(page, grains);
    return page;
  });
  return { allocator, pages, pageAt: (index) => pages[Math.floor(index / stride)] as MarkPage };
}

interface Run {
  readonly index: number;
  readonly count: number;
}

/** The same pages as arrays, and what is reserved of them. */
class PlainPages {
  readonly taken: boolean[][];
  readonly listed: boolean[];
  readonly live: Run[] = [];

  constructor(sizes: readonly number[]) {
    this.taken = sizes.map((grains) => Array.from({ length: grains }, () => false));
    this.listed = sizes.map(() => true);
  }

  isFree({ index, count }: Run): boolean {
    const page = this.taken[Math.floor(index / stride)] as boolean[];
    const at = index % stride;
    return at + count <= page.length && !page.slice(at, at + count).includes(true);
  }

  hasRoom(count: number): boolean {
    return this.taken.some((page, ordinal) => {
      let run = 0;
      const ends = page.some((taken) => {
        run = taken ? 0 : run + 1;
        return run >= count;
      });
      return ends && this.listed[ordinal];
    });
  }

  mark(run: Run, taken: boolean): void {
    const at = run.index % stride;
    (this.taken[Math.floor(run.index / stride)] as boolean[]).fill(taken, at, at + run.count);
  }
}

const count = fc.oneof(
  fc.integer({ min: 1, max: 4 }),
  fc.integer({ min: 1, max: 40 }),
  fc.constantFrom(31, 32, 33, 64, 254, 255),
);
const command = fc.oneof(
  { weight: 5, arbitrary: fc.record({ reserve: count, dense: fc.boolean() }) },
  { weight: 4, arbitrary: fc.record({ release: fc.nat() }) },
  { weight: 1, arbitrary: fc.record({ page: fc.nat(), at: fc.nat(), count }) },
  { weight: 1, arbitrary: fc.record({ unlist: fc.nat() }) },
  { weight: 2, arbitrary: fc.record({ evict: fc.nat() }) },
);
const sizes = fc.array(
  fc.oneof(fc.integer({ min: 1, max: 60 }), fc.integer({ min: 1, max: 700 })),
  {
    minLength: 1,
    maxLength: 20,
  },
);

/** Commits what is reserved in the page, stores its marks and drops them. */
function evict(real: Pages, plain: PlainPages, page: MarkPage): void {
  for (const { index, count: grains } of plain.live) {
    const at = index - page.firstIndex;
    if (real.pageAt(index) !== page || page.countAt(at) > 0) continue;
    expect(page.isSpare).toBe(false);
    expect(page.apply('allocate', at, grains)).toBe(true);
  }
  expect(page.isSpare).toBe(true);
  stored.set(page, page.marks.slice());
  page.evict();
  real.allocator.unload(page);
}

function step(
  real: Pages,
  plain: PlainPages,
  one: typeof command extends fc.Arbitrary<infer T> ? T : never,
): void {
  if ('reserve' in one) {
    const index = real.allocator.reserve(one.reserve, roomy(one.dense));
    expect(index >= 0).toBe(plain.hasRoom(one.reserve));
    if (index < 0) return;
    const run = { index, count: one.reserve };
    expect(plain.isFree(run)).toBe(true);
    expect(plain.listed[Math.floor(index / stride)]).toBe(true);
    plain.mark(run, true);
    plain.live.push(run);
  } else if ('release' in one) {
    const [run] = plain.live.splice(one.release % Math.max(1, plain.live.length), 1);
    if (run === undefined) return;
    const page = real.pageAt(run.index);
    const at = run.index - page.firstIndex;
    load(page);
    if (page.countAt(at) > 0) {
      expect(page.apply('archive', at, run.count)).toBe(true);
      expect(page.apply('free', at, run.count)).toBe(true);
    }
    real.allocator.release(page, at, run.count);
    plain.mark(run, false);
  } else if ('evict' in one) {
    const page = real.pages[one.evict % real.pages.length] as MarkPage;
    if (page.loaded && !real.allocator.isCurrent(page)) evict(real, plain, page);
  } else if ('page' in one) {
    const ordinal = one.page % real.pages.length;
    const page = real.pages[ordinal] as MarkPage;
    if (!plain.listed[ordinal] || !page.loaded) return;
    const at = one.at % page.grains;
    const run = { index: page.firstIndex + at, count: Math.min(one.count, page.grains - at) };
    expect(real.allocator.reserveAt(page, at, run.count)).toBe(plain.isFree(run));
    if (!plain.isFree(run)) return;
    plain.mark(run, true);
    plain.live.push(run);
  } else {
    const ordinal = one.unlist % real.pages.length;
    const page = real.pages[ordinal] as MarkPage;
    if ((plain.taken[ordinal] as boolean[]).includes(true)) return;
    if (plain.listed[ordinal]) real.allocator.remove(page);
    else real.allocator.add(page, page.grains);
    plain.listed[ordinal] = !plain.listed[ordinal];
  }
}

describe('the longest run that a value may break up', () => {
  it('is any if much is free, a short one with less, and none for a long value', () => {
    const shares = [1, 0.4, 0.39, 0.125, 0.124, 0];
    const short = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY, 64, 64, 0, 0];
    expect(shares.map((share) => longestRoomyRun(1000, share))).toEqual(short);
    expect(shares.map((share) => longestRoomyRun(1024, share))).toEqual(shares.map(() => 0));
  });
});

describe('the grain allocator', () => {
  it('finds a free run wherever a page listed has one, loaded or not, and never gives out a grain twice', () => {
    fc.assert(
      fc.property(sizes, fc.array(command, { maxLength: 200 }), (grains, commands) => {
        const real = pagesOf(grains);
        const plain = new PlainPages(grains);
        for (const one of commands) step(real, plain, one);
      }),
      { numRuns: 150 },
    );
  });

  it('finds every run again when everything has been released', () => {
    fc.assert(
      fc.property(sizes, fc.array(count, { maxLength: 80 }), fc.nat(), (grains, counts, seed) => {
        const real = pagesOf(grains);
        const runs = counts
          .map((wanted) => ({ index: real.allocator.reserve(wanted, 0), count: wanted }))
          .filter(({ index }) => index >= 0);
        while (runs.length > 0) {
          const [run] = runs.splice(seed % runs.length, 1) as [Run];
          const page = real.pageAt(run.index);
          real.allocator.release(page, run.index - page.firstIndex, run.count);
        }
        // Each page can be filled to the last grain.
        for (let rest = grains.reduce((sum, size) => sum + size); rest > 0; rest--) {
          expect(real.allocator.reserve(1, roomy(rest % 2 === 0))).toBeGreaterThanOrEqual(0);
        }
        expect(real.allocator.reserve(1, 64)).toBe(-1);
      }),
      { numRuns: 60 },
    );
  });

  it('puts values that are pushed one after another side by side', () => {
    const { allocator } = pagesOf([5000, 5000]);
    const indexes = [3, 1, 200, 7].map((wanted) => allocator.reserve(wanted, 0));
    const first = indexes[0] as number;
    expect(indexes).toEqual([first, first + 3, first + 4, first + 204]);
  });

  it('rewinds if the last reservation is released first', () => {
    fc.assert(
      fc.property(
        fc.array(count, { minLength: 1, maxLength: 15 }),
        fc.boolean(),
        (counts, dense) => {
          const { allocator, pageAt } = pagesOf([5000, 4000]);
          const reserved = counts.map((wanted) => allocator.reserve(wanted, roomy(dense)));
          for (let at = counts.length - 1; at >= 0; at--) {
            const index = reserved[at] as number;
            const page = pageAt(index);
            allocator.release(page, index - page.firstIndex, counts[at] as number);
          }
          expect(counts.map((wanted) => allocator.reserve(wanted, roomy(dense)))).toEqual(reserved);
        },
      ),
    );
  });

  it('takes from the emptiest page, or when dense from the fullest that has room', () => {
    const { allocator, pages } = pagesOf([40, 200, 90]);
    const [small, , middle] = pages as [MarkPage, MarkPage, MarkPage];
    expect(allocator.reserve(30, 64)).toBe(small.firstIndex);
    expect(allocator.reserve(60, 64)).toBe(middle.firstIndex);
    expect(allocator.reserve(60, 0)).toBe((pages[1] as MarkPage).firstIndex);
  });

  it('loads a page before it looks at it, and only the pages that it takes from', () => {
    const { allocator, pages } = pagesOf([400, 400, 400]);
    for (let at = 0; at < 5; at++) allocator.reserve(50, 0);
    expect(pages.filter(({ loaded }) => loaded).length).toBe(1);
  });

  it('lists a page once', () => {
    const { allocator, pages } = pagesOf([10]);
    expect(() => allocator.add(pages[0] as MarkPage, 10)).toThrow(
      expect.objectContaining({ code: 'VARVE_INTERNAL' }),
    );
  });
});

describe('the cost of an allocation', () => {
  /** Fills pages up to a share, then replaces values at random; words looked at per replacement. */
  function churn(pageCount: number, share: number, sizeOf: (random: number) => number): number {
    const random = numbersFrom(7);
    const { allocator, pageAt } = pagesOf(
      Array.from({ length: pageCount }, () => grainsPerMarkPage),
      CountingPage,
    );
    const total = pageCount * grainsPerMarkPage;
    const live: Run[] = [];
    let used = 0;
    const fill = (): void => {
      while (used < total * share) {
        const wanted = sizeOf(random());
        const dense = wanted >= 32 || (total - used) * 8 < total;
        const index = allocator.reserve(wanted, roomy(dense));
        if (index < 0) return;
        live.push({ index, count: wanted });
        used += wanted;
      }
    };
    fill();
    CountingPage.words = 0;
    const rounds = 2000;
    for (let round = 0; round < rounds; round++) {
      const [run] = live.splice(Math.floor(random() * live.length), 1) as [Run];
      const page = pageAt(run.index);
      allocator.release(page, run.index - page.firstIndex, run.count);
      used -= run.count;
      fill();
    }
    return CountingPage.words / rounds;
  }

  it.each([
    ['of any length', 0.5, (random: number) => 1 + Math.floor(random * 255)],
    ['of any length', 0.9, (random: number) => 1 + Math.floor(random * 255)],
    ['of one to four grains', 0.9, (random: number) => 1 + Math.floor(random * 4)],
    ['of one grain', 0.99, () => 1],
    ['very short and very long', 0.9, (random: number) => (random < 0.9 ? 1 : 255)],
  ])('is a few hundred words on average for values %s at %d of the space', (_, share, sizeOf) => {
    expect(churn(4, share, sizeOf)).toBeLessThan(1000);
  });

  it('does not grow with the number of pages', () => {
    const sizeOf = (random: number): number => 1 + Math.floor(random * 20);
    const few = churn(2, 0.9, sizeOf);
    expect(churn(24, 0.9, sizeOf)).toBeLessThan(2 * few + 200);
  });

  /**
   * Every second grain is taken, and one hole of three is made and filled again and again: each look
   * that fails has to pass a whole page of holes.
   */
  function checkerboard(pageCount: number): number {
    const { allocator, pages } = pagesOf(
      Array.from({ length: pageCount }, () => grainsPerMarkPage),
      CountingPage,
    );
    for (const page of pages) {
      page.load(undefined, 0);
      for (let at = 0; at < page.grains; at += 2) allocator.reserveAt(page, at, 1);
    }
    while (allocator.reserve(3, roomy(true)) >= 0);
    const random = numbersFrom(3);
    CountingPage.words = 0;
    const rounds = 60;
    for (let round = 0; round < rounds; round++) {
      const page = pages[Math.floor(random() * pageCount)] as MarkPage;
      const at = 2 + 2 * Math.floor(random() * (page.grains / 2 - 2));
      allocator.release(page, at, 1);
      expect(allocator.reserve(3, roomy(round % 2 === 0))).toBe(page.firstIndex + at - 1);
      expect(allocator.reserve(3, roomy(round % 2 === 0))).toBe(-1);
      allocator.release(page, at - 1, 3);
      expect(allocator.reserveAt(page, at, 1)).toBe(true);
    }
    return CountingPage.words / rounds;
  }

  it('is at most a few searches of one page, however many pages there are', () => {
    const worst = 6 * grainsPerMarkPage;
    expect(checkerboard(2)).toBeLessThan(worst);
    expect(checkerboard(16)).toBeLessThan(worst);
  });
});

it('takes a page off its list once', () => {
  const { allocator, pages } = pagesOf([64, 64]);
  const [page] = pages as [MarkPage];
  allocator.remove(page);
  expect(() => allocator.remove(page)).toThrow('a listed mark page');
  allocator.add(page, page.grains);
  expect(page.listed).toBe(0);
});

/** A repeatable sequence of numbers from 0 to 1 (mulberry32). */
function numbersFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b_79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
