/**
 * Faults in records that carry the values of small batches: when they do, how reads see the values,
 * and how a settle writes them to their grains.
 */

import { lines, type SeededFault } from './seeded-fault.ts';

const commits = 'test/store/commit/carried-commits.test.ts';
const home = 'test/store/settle/home-writes.test.ts';

export const faultsOfCarrying: readonly SeededFault[] = [
  {
    name: 'the sync of a small commit is left out',
    file: 'store/commit/durable-writer.ts',
    find: lines(
      '      throw failure;',
      '    }',
      '    yield* this.sync();',
      '    yield* this.#publish(plan, target);',
    ),
    replace: lines(
      '      throw failure;',
      '    }',
      '    this.#core.housekeeping.synced();',
      '    yield* this.#publish(plan, target);',
    ),
    caughtBy: { file: commits, test: 'a small commit is one write and one sync, by commit' },
  },
  {
    name: 'a small batch is published before its sync',
    file: 'store/commit/durable-writer.ts',
    find: lines(
      '      throw failure;',
      '    }',
      '    yield* this.sync();',
      '    yield* this.#publish(plan, target);',
    ),
    replace: lines(
      '      throw failure;',
      '    }',
      '    yield* this.#publish(plan, target);',
      '    yield* this.sync();',
    ),
    caughtBy: {
      file: 'test/contract/faults.test.ts',
      test: 'a failed sync does not affect reads',
    },
  },
  {
    name: 'a batch with a new map is written as a small one',
    file: 'store/commit/durable-writer.ts',
    find: '    if (space.tight || added !== nothingAdded || plan.dropped.length > 0) return undefined;',
    replace: '    if (space.tight || plan.dropped.length > 0) return undefined;',
    caughtBy: {
      file: 'test/contract/faults.test.ts',
      test: 'can be neither written nor taken back',
    },
  },
  {
    name: 'a settle forgets records whose values are not in their grains',
    file: 'store/settle/settle.ts',
    find: 'this.#settled !== undefined && this.#isWritten) {',
    replace: 'this.#settled !== undefined) {',
    caughtBy: {
      file: home,
      test: 'a home write that fails for good, keeps the records that have the values, for the next opening',
    },
  },
  {
    name: 'a freed value stays carried',
    file: 'store/values/value-reader.ts',
    find: '    this.carried.remove(offset);',
    replace: '',
    caughtBy: {
      file: commits,
      test: 'the grains of a carried value are never written if it is freed before the settle',
    },
  },
  {
    name: 'replay skips carried values of structures with a newer stamp',
    file: 'store/open/replay.ts',
    find: '    if (map === undefined) continue;',
    replace:
      '    if (map === undefined || batch <= (atlas.basins[one.basin]?.stamp ?? 0)) continue;',
    caughtBy: {
      file: home,
      test: 'a batch that carries values is taken from its record though a page of marks that has it was settled',
    },
  },
  {
    name: 'a read under way misses a value that is written to its grains meanwhile',
    file: 'store/values/value-reader.ts',
    find: '      layOver(part, offset, carried);',
    replace: '',
    caughtBy: {
      file: commits,
      test: 'the grains of a carried value are written by commits while a read is under way that has their old bytes',
    },
  },
  {
    name: 'a home write that failed counts as done',
    file: 'store/settle/housekeeping.ts',
    find: '    // Without zeros ahead commits are only slower.',
    replace: "    if (write.purpose === 'home') this.wrote(write);",
    caughtBy: {
      file: home,
      test: 'a home write that fails once, is made again by the next commit',
    },
  },
  {
    name: 'a home write counts as done before its sync',
    file: 'store/settle/housekeeping.ts',
    find: '    this.#home.push({ offset, chunks, values: written });',
    replace: '    this.#parts.values.carried.wentHome({ offset, chunks, values: written });',
    caughtBy: {
      file: home,
      test: 'a home write that fails is not done if its sync fails: a poisoned store still reads the value, seed 0',
    },
  },
  {
    name: 'a record carries values whose grains the file has never had',
    file: 'store/commit/value-writer.ts',
    find: '  return writer.known.has(Math.floor(offset / pageBytes), endPage);',
    replace: '  return writer.known !== undefined && endPage > 0;',
    caughtBy: {
      file: commits,
      test: 'a small commit writes values to their grains where the file has never been written',
    },
  },
  {
    name: 'records carry values on a full disk',
    file: 'store/commit/value-writer.ts',
    find: '  if (core.space.tight) return false;',
    replace: '',
    caughtBy: {
      file: commits,
      test: 'a small commit writes values to their grains while the disk is full',
    },
  },
  {
    name: 'the state that a reader moves to reads through the carried values of the one before',
    file: 'store/values/value-reader.ts',
    find: '    this.#cache.readFrom(this.#source);',
    replace: '',
    caughtBy: {
      file: commits,
      test: 'a carried value, with a cache of undefined bytes, is read beside a writer, before and after its settle',
    },
  },
  {
    name: 'opening forgets that a value which the last record does not carry is torn',
    file: 'store/open/replay.ts',
    find: lines(
      '    yield* takeCarried(parts, record);',
      '    for (const { offset } of torn) parts.values.distrust(offset);',
    ),
    replace: lines(
      '    for (const { offset } of torn) parts.values.distrust(offset);',
      '    yield* takeCarried(parts, record);',
    ),
    caughtBy: {
      file: 'test/damage/lost-writes.test.ts',
      test: 'a reused grain in which the disk kept the old value costs only that value if an opening has confirmed the last batch',
    },
  },
];
