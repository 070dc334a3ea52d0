/** Replay of logged changes on a stratum whose marks were settled before or after them. */

import { describe, expect, it } from 'vitest';
import { Stratum } from '../../../src/store/grains/stratum.ts';
import { place, runOf, StratumPair } from '../../support/oracles/stratum-pair.ts';

const corrupt = expect.objectContaining({ code: 'VARVE_CORRUPT' });

describe('replay', () => {
  const run = runOf(5, 3);
  const at = (batch: number, counted = true) => ({ batch, counted });

  function settledAt(stamp: number): StratumPair {
    const pair = new StratumPair();
    pair.addMap(100, 0);
    pair.real.reserveAt(5, 3);
    pair.real.publish('allocate', run);
    pair.memory.settle(pair.real, stamp);
    pair.real = new Stratum(place, pair.real.entry(), pair.memory);
    return pair;
  }

  it('applies a change that the marks do not hold yet', () => {
    const pair = settledAt(4);
    pair.real.replay('archive', run, at(5));
    expect(pair.real.isArchived(5)).toBe(true);
    pair.real.replay('free', run, at(6));
    expect(pair.real.find(5)?.page.countAt(5)).toBe(0);
    expect([pair.real.values, pair.real.archivedValues, pair.real.valueBytes]).toEqual([0, 0, 0]);
    pair.real.replay('allocate', runOf(4, 7), at(7));
    expect(pair.real.find(4)?.page.countAt(4)).toBe(7);
    expect(pair.real.allocatedGrains).toBe(7);
    expect(pair.real.dirtyPages().length).toBe(1);
    expect(pair.real.reserveAt(4, 1)).toBe(false);
  });

  it('counts a change that the marks hold and the basin does not', () => {
    const pair = settledAt(4);
    pair.real.replay('allocate', run, at(4));
    expect([pair.real.values, pair.real.allocatedGrains]).toEqual([2, 6]);
    expect(pair.real.find(5)?.page.countAt(5)).toBe(3);
    expect(pair.real.dirtyPages()).toEqual([]);
  });

  it('does not count a change that the basin has counted', () => {
    const pair = settledAt(4);
    pair.real.replay('archive', run, at(5, false));
    expect(pair.real.isArchived(5)).toBe(true);
    expect(pair.real.archivedValues).toBe(0);
  });

  it.each([
    ['allocate', runOf(4, 3)],
    ['allocate', run],
    ['archive', runOf(5, 2)],
    ['archive', runOf(6, 1)],
    ['archive', runOf(50, 1)],
    ['free', run],
    ['allocate', runOf(99, 2)],
    ['allocate', runOf(100, 1)],
    ['free', runOf(1000, 1)],
  ] as const)('refuses to %s if the marks contradict it: %o', (operation, other) => {
    expect(() => settledAt(4).real.replay(operation, other, at(5))).toThrow(corrupt);
  });

  it('passes over grains of a map that was dropped before the basin was written', () => {
    settledAt(4).real.replay('free', runOf(1000, 1), at(3, false));
  });
});
