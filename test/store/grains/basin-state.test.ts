/**
 * A basin in memory: what its document holds, and what a settle that the disk refuses leaves.
 */

import { expect, it } from 'vitest';
import { noDocument } from '../../../src/format/document.ts';
import { BasinState } from '../../../src/store/grains/basin-state.ts';

const internal = expect.objectContaining({ code: 'VARVE_INTERNAL' });

function nameOf(generation: number) {
  return { ...noDocument, page: 9, capacityPages: 1, generation, length: 40 };
}

it('a durable basin goes to the slot that is not named, as of no earlier batch', () => {
  const basin = new BasinState([], { durable: false, dirty: false });
  expect(() => basin.sealedAs(nameOf(1), 3)).toThrow(internal);
  basin.becomeDurable();
  basin.touched();
  basin.sealedAs(nameOf(1), 3);
  expect([basin.name.generation, basin.stamp, basin.dirty]).toEqual([1, 3, false]);
  expect(() => basin.sealedAs(nameOf(3), 4)).toThrow(internal);
  expect(() => basin.sealedAs(nameOf(2), 2)).toThrow(internal);
});

it('a basin whose document the disk refused is as before, and is written again', () => {
  const sealed = { name: nameOf(4), stamp: 7 };
  const basin = new BasinState([], { durable: true, dirty: true, sealed });
  for (const stamp of [8, 9]) {
    basin.sealedAs(nameOf(5), stamp);
    basin.writeRefused();
    expect([basin.name, basin.stamp, basin.dirty]).toEqual([nameOf(4), 7, true]);
  }
});
