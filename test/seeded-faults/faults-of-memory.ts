/**
 * Faults in what a store keeps in memory: which mark pages are evicted, and what is known of them
 * then; what counts against the budget of memory, and what gives way.
 */

import { lines, type SeededFault } from './seeded-fault.ts';

const eviction = 'test/store/marks/eviction.test.ts';
const budget = 'test/util/memory-budget.test.ts';
const blocks = 'test/store/values/block-cache.test.ts';
const nodes = 'test/forest/nodes/node-cache.test.ts';

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
  {
    name: 'memory that is reserved does not count',
    file: 'util/memory-budget.ts',
    find: 'const evictableMax = Math.max(bytesMax - this.#reservedBytes, bytesMax * evictableShareMin);',
    replace: 'const evictableMax = bytesMax;',
    caughtBy: {
      file: budget,
      test: 'a memory budget counts reserved memory, and leaves a quarter to what can be evicted',
    },
  },
  {
    name: 'reserved memory may take all of the budget',
    file: 'util/memory-budget.ts',
    find: 'Math.max(bytesMax - this.#reservedBytes, bytesMax * evictableShareMin)',
    replace: 'bytesMax - this.#reservedBytes',
    caughtBy: {
      file: budget,
      test: 'a memory budget counts reserved memory, and leaves a quarter to what can be evicted',
    },
  },
  {
    name: 'the hands of caches turn by entries, not by parts of a round',
    file: 'util/memory-budget.ts',
    find: '      hand.owed += part * user.entryCount;',
    replace: '      hand.owed += Math.min(1, user.entryCount);',
    caughtBy: { file: budget, test: 'a memory budget turns all hands by the same part of a round' },
  },
  {
    name: 'a part of an entry that a hand owes is forgotten',
    file: 'util/memory-budget.ts',
    find: '      hand.owed -= count;',
    replace: '      hand.owed = 0;',
    caughtBy: { file: budget, test: 'a memory budget turns all hands by the same part of a round' },
  },
  {
    name: 'the block cache evicts blocks and keeps their memory',
    file: 'store/values/block-cache.ts',
    find: 'while (this.#slabs.length > 0 && this.#empty.length >= this.#emptyMax) this.#dropSlab();',
    replace: '',
    caughtBy: { file: blocks },
  },
  {
    name: 'a block that moves to another slot is found in the old one',
    file: 'store/values/block-cache.ts',
    find: '      this.#table.moveTo(this.#table.find(block), to);',
    replace: '',
    caughtBy: {
      file: blocks,
      test: 'a block cache gives whole slabs back if its blocks are not used, and keeps those that are',
    },
  },
  {
    name: 'the slot of a block whose read failed is lost',
    file: 'store/values/block-cache.ts',
    find: '    return this.#empty.at(-1) as number;',
    replace: '    return this.#empty.pop() as number;',
    caughtBy: { file: blocks },
  },
  {
    name: 'a node can be evicted while its reader has just loaded it',
    file: 'forest/nodes/node-cache.ts',
    find: '    const isNewest = ref === this.#newest;',
    replace: '    const isNewest = ref === this.#newest && this.#refs.length < 2;',
    caughtBy: {
      file: nodes,
      test: 'a cache of nodes has what was added and neither dropped nor evicted, within its bound and the budget',
    },
  },
  {
    name: 'nodes take memory that the budget does not count',
    file: 'forest/nodes/node-cache.ts',
    find: 'this.#share.hold(this.#bytes, { reservedBytes: this.#reserved });',
    replace: 'this.#share.hold(0, { reservedBytes: this.#reserved });',
    caughtBy: { file: 'test/forest/memory.test.ts' },
  },
  {
    name: 'nodes that are not stored yet take memory that nothing gives way for',
    file: 'forest/nodes/node-cache.ts',
    find: lines('    this.#reserved = bytes;', '    this.#shrink();'),
    replace: '    this.#reserved = bytes;',
    caughtBy: { file: nodes },
  },
  {
    name: 'mark pages take memory that the budget does not count',
    file: 'store/marks/loaded-pages.ts',
    find: 'this.#share.hold(bytes - reservedBytes, { reservedBytes });',
    replace: '',
    caughtBy: {
      file: 'test/contract/statistics.test.ts',
      test: 'statistics give the memory that is in use, up to cacheBytes',
    },
  },
];
