/**
 * Faults in what a store keeps in memory: which mark pages are evicted, and what is known of them
 * then.
 */

import type { SeededFault } from './seeded-fault.ts';

const eviction = 'test/store/marks/eviction.test.ts';

export const faultsOfMemory: readonly SeededFault[] = [
  {
    name: 'a mark page is evicted with changes that no settle has written',
    file: 'store/grains/stratum-pages.ts',
    find: 'if (this.#dirty.has(page) || this.#freeGrains().isTakingFrom(page)) return false;',
    replace: 'if (this.#freeGrains().isTakingFrom(page)) return false;',
    caughtBy: {
      file: eviction,
      test: 'mark pages in memory give out what is free in those that are not loaded',
    },
  },
  {
    name: 'a mark page is evicted before the settle that writes it has',
    file: 'store/marks/mark-page.ts',
    find: 'if (this.#claims > 0 || this.#isBeingWritten) return false;',
    replace: 'if (this.#claims > 0) return false;',
    caughtBy: {
      file: eviction,
      test: 'mark pages in memory are loaded again whatever write of a settle is under way',
    },
  },
  {
    name: 'a mark page is evicted while a session archives a value of it',
    file: 'store/marks/mark-page.ts',
    find: 'if (this.#claims > 0 || this.#isBeingWritten) return false;',
    replace: 'if (this.#isBeingWritten) return false;',
    caughtBy: {
      file: eviction,
      test: 'mark pages in memory stay for a session that archives a value, and for a checkpoint that frees it',
    },
  },
  {
    name: 'a mark page is evicted while a checkpoint frees a value of it',
    file: 'store/commit/checkpoint.ts',
    find: '  if (spot !== undefined) atlas.loadedPages.pin(spot.page);',
    replace: '',
    caughtBy: {
      file: eviction,
      test: 'mark pages in memory stay for a session that archives a value, and for a checkpoint that frees it',
    },
  },
  {
    name: 'a mark page is evicted with grains that a session has reserved',
    file: 'store/marks/mark-page.ts',
    find: '    return isTakenBits(this.taken, this.marks, this.grains);',
    replace: '    return true;',
    caughtBy: {
      file: eviction,
      test: 'mark pages in memory are those with changes, until a settle has written them',
    },
  },
  {
    name: 'the free runs of an evicted mark page are forgotten',
    file: 'store/grains/stratum-pages.ts',
    find: '    this.#freeGrains().unload(page);',
    replace: '',
    caughtBy: {
      file: eviction,
      test: 'mark pages in memory give out what is free in those that are not loaded',
    },
  },
  {
    name: 'a mark page that is loaded again is healed up to the base at opening only',
    file: 'store/log/log-history.ts',
    find: 'this.#records(batch, Math.max(reached, this.base))',
    replace: 'this.#records(batch, Math.min(this.base, this.base + reached))',
    caughtBy: {
      file: eviction,
      test: 'a mark page that is loaded again is healed with every batch that it held',
    },
  },
  {
    name: 'a mark page below a healed head catches up each time that it is loaded',
    file: 'store/grains/map-loader.ts',
    find: '      if (this.#twinStamps.has(map)) this.#found.add(page);',
    replace: '',
    caughtBy: {
      file: eviction,
      test: 'a page below a healed head is loaded again as a later settle wrote it',
    },
  },
  {
    name: 'dirty mark pages bring no settle about',
    file: 'store/settle/housekeeping.ts',
    find: '    if (this.#dirtyBeyondShare > 0) return true;',
    replace: '',
    caughtBy: {
      file: eviction,
      test: 'mark pages in memory make room for others before a settle is due by bytes',
    },
  },
];
