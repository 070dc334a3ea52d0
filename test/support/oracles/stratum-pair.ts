/**
 * A stratum on marks in memory, and the same as a list of maps and a list of runs.
 *
 * Invariant: a change is made to both, so that a difference is a fault of the stratum.
 */

import { expect } from 'vitest';
import type { StratumEntry } from '../../../src/format/basin.ts';
import { grainsPerMarkPage } from '../../../src/format/layout.ts';
import type { GrainRun } from '../../../src/format/log-record.ts';
import { Stratum } from '../../../src/store/grains/stratum.ts';
import { LoadedPages } from '../../../src/store/marks/loaded-pages.ts';
import { MemoryBudget } from '../../../src/util/memory-budget.ts';
import { PagedMemory } from '../disks/paged-memory.ts';

/** Stratum 3 of basin 0. */
export const place = { basin: 0, number: 3, durable: true };
export const empty = {
  grainExp: 5,
  values: 0,
  archivedValues: 0,
  valueBytes: 0,
  allocatedGrains: 0,
  endIndex: 0,
  maps: [],
};

export function runOf(index: number, count: number, length = count * 32 - 8): GrainRun {
  return { basin: 0, stratum: 3, index, count, length };
}

export interface LiveRun extends GrainRun {
  state: 'reserved' | 'value' | 'archived';
}

/** A stratum and the same thing as a list of maps and a list of runs. */
export class StratumPair {
  readonly memory = new PagedMemory();
  real: Stratum;
  live: LiveRun[] = [];
  maps: { firstIndex: number; grains: number; retired: boolean }[] = [];
  #nextPage = 100;
  #stamp = 0;
  readonly #markBytes: number;

  /** `markBytes`: the bound on loaded mark pages. */
  constructor(markBytes = Number.POSITIVE_INFINITY) {
    this.#markBytes = markBytes;
    this.real = this.#stratum(empty);
  }

  #stratum(entry: StratumEntry): Stratum {
    const budget = new MemoryBudget(Number.POSITIVE_INFINITY);
    return new Stratum(place, entry, this.memory, new LoadedPages(budget, this.#markBytes));
  }

  /** The stretches that a run has to lie within: mark pages of maps in use. */
  #pages(): { from: number; to: number }[] {
    return this.maps
      .filter(({ retired }) => !retired)
      .flatMap(({ firstIndex, grains }) => {
        const count = Math.ceil(grains / grainsPerMarkPage);
        return Array.from({ length: count }, (_, at) => ({
          from: firstIndex + at * grainsPerMarkPage,
          to: firstIndex + Math.min(grains, (at + 1) * grainsPerMarkPage),
        }));
      });
  }

  hasRoom(count: number): boolean {
    const sorted = [...this.live].sort((one, other) => one.index - other.index);
    return this.#pages().some(({ from, to }) => {
      let start = from;
      for (const run of sorted) {
        if (run.index + run.count <= from || run.index >= to) continue;
        if (run.index - start >= count) return true;
        start = run.index + run.count;
      }
      return to - start >= count;
    });
  }

  fits(index: number, count: number): boolean {
    const overlaps = this.live.some(
      (run) => index < run.index + run.count && run.index < index + count,
    );
    return !overlaps && this.#pages().some(({ from, to }) => index >= from && index + count <= to);
  }

  take(index: number, count: number): void {
    this.live.push({ ...runOf(index, count), state: 'reserved' });
  }

  addMap(grains: number, gap: number): void {
    const firstIndex = this.real.endIndex + gap;
    this.real.addMap({ firstIndex, grains, page: this.#nextPage, further: [] }, true);
    this.#nextPage += 100;
    this.maps.push({ firstIndex, grains, retired: false });
  }

  settle(): void {
    this.#stamp += 1;
    this.memory.settle(this.real, this.#stamp);
  }

  /** What an opening finds: reservations and retirements are gone. */
  reopen(): void {
    this.settle();
    this.real = this.#stratum(this.real.entry());
    this.live = this.live.filter(({ state }) => state !== 'reserved');
    for (const map of this.maps) map.retired = false;
  }

  check(): void {
    const { real, live } = this;
    const committed = live.filter(({ state }) => state !== 'reserved');
    const sum = (numbers: number[]): number => numbers.reduce((total, one) => total + one, 0);
    expect({
      values: real.values,
      archived: real.archivedValues,
      bytes: real.valueBytes,
      allocated: real.allocatedGrains,
      total: real.totalGrains,
      maps: real.maps.map(({ firstIndex, grains }) => [firstIndex, grains]),
    }).toEqual({
      values: committed.length,
      archived: committed.filter(({ state }) => state === 'archived').length,
      bytes: sum(committed.map(({ length }) => length)),
      allocated: sum(committed.map(({ count }) => count)),
      total: sum(this.maps.map(({ grains }) => grains)),
      maps: this.maps.map(({ firstIndex, grains }) => [firstIndex, grains]),
    });
    for (const { index, count, state } of live) {
      const spot = real.find(index);
      expect(spot?.page.countAt(spot.at)).toBe(state === 'reserved' ? 0 : count);
      expect(real.isArchived(index)).toBe(state === 'archived');
      if (count > 1) expect(real.find(index + 1)?.page.countAt((spot?.at ?? 0) + 1)).toBe(0);
    }
    for (const map of real.maps) {
      const inside = ({ index }: LiveRun): boolean =>
        index >= map.firstIndex && index < map.firstIndex + map.grains;
      expect(map.takenGrains).toBe(sum(live.filter(inside).map(({ count }) => count)));
      expect(map.committedGrains).toBe(sum(committed.filter(inside).map(({ count }) => count)));
    }
  }
}
