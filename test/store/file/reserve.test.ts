/**
 * The reserve of `Space` on a disk that is full or may be: who takes from it, and from which end; and
 * which writes prove that the file can grow.
 */

import { expect, it } from 'vitest';
import { pageBytes } from '../../../src/format/layout.ts';
import { Space } from '../../../src/store/file/space.ts';

const filePages = 100;
const reservePages = 20;

/** A file of 100 pages, opened again: only the pages from 40 on are free, so many of them. */
function reopened(freePages: number): Space {
  const space = new Space(() => reservePages);
  const used = [
    { page: 0, pages: 40 },
    { page: 40 + freePages, pages: filePages - 40 - freePages },
  ];
  space.rebuild(used, filePages * pageBytes);
  space.doubtGrowth();
  return space;
}

it('values do not take the reserve before it is known whether the file can grow', () => {
  expect(reopened(25).availableBacked(25, 1)).toBeUndefined();
  expect(reopened(25).allocateForValues(25, false)).toBeUndefined();
  expect(reopened(25).gather(25, 1, 4, false)).toBeUndefined();
  expect(reopened(25).allocateForValues(25, true)).toBe(filePages);
});

it('a log segment fits into the reserve again after a body and documents have taken of it', () => {
  const space = reopened(reservePages);
  space.refused(filePages, filePages + 1, true);
  const body = space.allocate(2);
  space.allocate(4, 0, 'end');
  space.free(body, 2);
  expect(space.allocate(16)).toBe(40);
});

it('a write far behind the end does not prove that the pages before it can be written', () => {
  const space = reopened(reservePages);
  space.refused(filePages, 2 * filePages, true);
  space.allocateForValues(3 * filePages, true);
  space.written(190, 191);
  expect(space.tight).toBe(true);
  expect(space.doubts(150 * pageBytes, 1)).toBe(true);
  space.written(191, 253);
  expect(space.tight).toBe(true);
  space.written(253, 254);
  expect(space.tight).toBe(false);
});
