/**
 * Large values have maps of their own: freed, their places go back to the file within a few
 * commits, and a value takes places that lie apart before the file grows.
 */

import { expect, it } from 'vitest';
import type { GrainId } from '../../../src/index.ts';
import { expectSameBytes, patternOf } from '../../support/bytes.ts';
import { type CoreLab, openLab } from '../../support/fixtures/core-lab.ts';

const kibibyte = 1024;

async function push(lab: CoreLab, length: number): Promise<GrainId> {
  const session = lab.session();
  const id = session.push(patternOf(length, length));
  await session.commit();
  return id;
}

/** Frees the values, and commits until their places are free in the file. */
async function giveBack(lab: CoreLab, ids: readonly GrainId[]): Promise<number> {
  const session = lab.session();
  for (const id of ids) session.archive(id);
  await session.commit();
  const checkpoint = lab.session();
  checkpoint.checkpointTo(lab.core.published.currentBatch);
  await checkpoint.commit();
  const free = lab.core.space.freePages;
  let commits = 0;
  while (lab.core.space.freePages < free + ids.length * 20 && commits < 50) {
    const nothing = lab.session();
    nothing.setEmbeddedHeader(null);
    await nothing.commit();
    commits += 1;
  }
  return commits;
}

it('the place of a large value that was freed is free a few commits later', async () => {
  const lab = await openLab();
  const ids = [await push(lab, 100 * kibibyte), await push(lab, 200 * kibibyte)];
  await push(lab, 300 * kibibyte);
  expect(await giveBack(lab, ids)).toBeLessThan(8);
  expect(lab.core.space.freePages * 4096).toBeGreaterThanOrEqual(300 * kibibyte);
  expect(await lab.findings()).toEqual([]);
  await lab.close();
});

it('a large value goes to places that lie apart before the file grows', async () => {
  const lab = await openLab();
  const lengths = Array.from({ length: 8 }, (_, at) => 100 * kibibyte + at);
  const ids: GrainId[] = [];
  for (const length of lengths) ids.push(await push(lab, length));
  const gone = ids.filter((_, at) => at % 2 === 0);
  await giveBack(lab, gone);
  const { endPage } = lab.core.space;
  const length = 350 * kibibyte;
  const id = await push(lab, length);
  expect(lab.core.place(id)?.parts?.length).toBeGreaterThan(2);
  expect(lab.core.space.endPage).toBeLessThan(endPage + 8);
  const place = lab.core.place(id);
  if (place === undefined) throw new Error('the value is there');
  expectSameBytes(lab.core.values.read(place), patternOf(length, length));
  await giveBack(lab, [id]);
  expect(await lab.findings()).toEqual([]);
  await lab.close();
});

it('a value among the many of a shared map leaves its place to the next', async () => {
  const lab = await openLab();
  for (let at = 0; at < 40; at++) await push(lab, 9000);
  const maps = (): number => [...lab.core.atlas.strata()].flatMap(({ maps }) => maps).length;
  const before = maps();
  for (let round = 0; round < 30; round++) {
    const id = await push(lab, 8500 + round);
    await giveBack(lab, [id]);
  }
  expect(maps()).toBe(before);
  expect(await lab.findings()).toEqual([]);
  await lab.close();
});
