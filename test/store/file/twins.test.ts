/**
 * Pages below a healed parent: of the generations in the two slots, the one that counts.
 *
 * The parent's twin has stamp 20 and names generation 3 of a mark page; the checkpoint is 15, and
 * the root has stamp 30.
 */

import { expect, it } from 'vitest';
import { encodeMarkPage, openMarkPage } from '../../../src/format/grain-map.ts';
import { kindMarks, marksBytes } from '../../../src/format/layout.ts';
import type { LogHistory } from '../../../src/store/file/page-source.ts';
import { readOrHeal, type Stamped, type TwoSlots } from '../../../src/store/file/twins.ts';
import { PagedMemory } from '../../support/disks/paged-memory.ts';

interface Written {
  readonly generation: number;
  readonly stamp: number;
}

const history: LogHistory = {
  checkpoint: 15,
  base: 0,
  settled: 30,
  replayed: false,
  after: () => [],
  healed: () => undefined,
};

const owner = { basin: 0, stratum: 0, firstIndex: 0, grains: 100, grainExp: 5 };

/** Reads the page that is named as `named`; each page's marks are its generation. */
function reading(
  named: Written,
  pages: readonly Written[],
  parent: { isParent: boolean; parentStamp: number | undefined },
): Stamped<number> {
  const memory = new PagedMemory();
  memory.history = history;
  let crc = 0;
  for (const { generation, stamp } of [...pages, named]) {
    const place = { page: generation % 2, generation, stamp };
    const marks = new Uint8Array(marksBytes).fill(generation);
    const sealed = encodeMarkPage({ owner, ordinal: 0, marks }, place, memory.salt);
    if (generation === named.generation) crc = sealed.crc;
    // What was named may have been overwritten since.
    const isGone = pages.some((one) => one.generation === named.generation + 2);
    if (generation !== named.generation || !isGone) memory.pages.set(place.page, sealed.bytes);
  }
  const structure: TwoSlots<number> = {
    what: 'a mark page',
    kind: kindMarks,
    name: { generation: named.generation, crc },
    unwritten: 0,
    ...parent,
    pageOf: (generation) => generation % 2,
    read: (page) => memory.readPage(page),
    open: (bytes, name) => {
      const { marks, stamp } = openMarkPage(bytes, name, memory.salt);
      return { content: marks[0] as number, stamp };
    },
  };
  return readOrHeal(structure, memory);
}

const below = { isParent: false, parentStamp: 20 };
const named = { generation: 3, stamp: 10 };

it.each([20, 25, 30])('a newer page with stamp %i counts, by its own name', (stamp) => {
  const found = reading(named, [{ generation: 4, stamp }], below);
  expect(found).toMatchObject({ content: 4, stamp });
  expect(found.newer).toMatchObject({ generation: 4, page: 0 });
});

it.each([
  ['of an earlier map at this place', 19],
  ['of a settle that was cut', 31],
])('a newer page %s does not count', (_, stamp) => {
  const found = reading(named, [{ generation: 4, stamp }], below);
  expect(found).toMatchObject({ content: 3, stamp: 10 });
  expect(found.newer).toBeUndefined();
});

it('a newer page counts if a cut settle has overwritten the named one', () => {
  const pages = [
    { generation: 4, stamp: 25 },
    { generation: 5, stamp: 31 },
  ];
  expect(reading(named, pages, below)).toMatchObject({ content: 4, stamp: 25 });
});

it('an older page does not count', () => {
  expect(reading(named, [{ generation: 2, stamp: 25 }], below)).toMatchObject({ content: 3 });
});

it('a page with a stamp from the checkpoint on lacks only what the log has', () => {
  const late = { generation: 3, stamp: 15 };
  const newer = [{ generation: 4, stamp: 25 }];
  expect(reading(late, newer, below)).toMatchObject({ content: 3, stamp: 15 });
  // What a head names may be older than the head.
  expect(reading(late, newer, { ...below, isParent: true })).toMatchObject({ content: 4 });
});

it('a page never written lacks everything before the checkpoint', () => {
  const unwritten = { generation: 0, stamp: 0 };
  expect(reading(unwritten, [{ generation: 1, stamp: 20 }], below)).toMatchObject({ content: 1 });
  expect(reading(unwritten, [{ generation: 7, stamp: 19 }], below)).toMatchObject({ content: 0 });
});

it('below a sound parent only the named page counts', () => {
  const sound = { isParent: false, parentStamp: undefined };
  expect(reading(named, [{ generation: 4, stamp: 25 }], sound)).toMatchObject({ content: 3 });
});
