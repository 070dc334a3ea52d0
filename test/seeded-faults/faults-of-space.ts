/**
 * Faults in what is where: reservations and releases of grains, lengths, grain maps that come and go,
 * the pages of the file.
 */

import { lines, type SeededFault } from './seeded-fault.ts';

export const faultsOfSpace: readonly SeededFault[] = [
  {
    name: 'one grain too many is released',
    file: 'store/grains/free-grains.ts',
    find: '    this.#allocator.release(page, index - page.firstIndex, count);',
    replace: '    this.#allocator.release(page, index - page.firstIndex, count + 1);',
    caughtBy: {
      file: 'test/store/grains/stratum.test.ts',
      test: 'a stratum finds a freed run before a map has to be added',
    },
  },
  {
    name: 'a free run is taken to be a grain longer than it is',
    file: 'store/grains/grain-allocator.ts',
    find: lines('    this.#at = at;', '    this.#end = end;', '    return true;'),
    replace: lines('    this.#at = at;', '    this.#end = end + 1;', '    return true;'),
    caughtBy: {
      file: 'test/store/commit/commit-plan.test.ts',
      test: 'a plan has a record from which the same Atlas is made again',
    },
  },
  {
    name: 'a reservation at given grains does not look whether they are taken',
    file: 'store/grains/grain-allocator.ts',
    find: '    if (!isClear(page.taken, at, count)) return false;',
    replace: '',
    caughtBy: {
      file: 'test/store/grains/stratum-replay.test.ts',
      test: 'replay applies a change that the marks do not hold yet',
    },
  },
  {
    name: 'grains that a map does not have can be given out',
    file: 'store/marks/packed-marks.ts',
    find: '  setRun(words, grains, wordCount * 32 - grains);',
    replace: '',
    caughtBy: {
      file: 'test/store/marks/mark-page.test.ts',
      test: 'a mark page takes nothing for free that lies behind its last grain',
    },
  },
  {
    name: 'values that were committed before the store was opened can be overwritten',
    file: 'store/marks/mark-page.ts',
    find: '    this.#taken = takenBits(marks, this.grains);',
    replace: '    this.#taken = takenBits(undefined, this.grains);',
    caughtBy: {
      file: 'test/store/verify/verify.test.ts',
      test: 'a fault in the marks is found if marks are impossible',
    },
  },
  {
    name: 'a value lacks its last grain if only one byte is in it',
    file: 'format/value.ts',
    find: '  return Math.ceil((length + valuePrefixBytes) / (1 << grainExp));',
    replace: '  return Math.ceil((length + valuePrefixBytes - 1) / (1 << grainExp));',
    caughtBy: {
      file: 'test/store/commit/commit-plan.test.ts',
      test: 'a plan has a record from which the same Atlas is made again',
    },
  },
  {
    name: 'the length in front of a value is one too small',
    file: 'format/value.ts',
    find: '  setU32(target, 0, length);',
    replace: '  setU32(target, 0, length > 0 ? length - 1 : 0);',
    caughtBy: {
      file: 'test/store/values/value-reader.test.ts',
      test: 'small results do not overlap, however many there are',
    },
  },
  {
    name: 'the padding of a value has old bytes instead of zeros',
    file: 'format/value.ts',
    find: '  target.set(bytes, valuePrefixBytes);',
    replace: '  target.set(bytes, valuePrefixBytes - 1);',
    caughtBy: {
      file: 'test/store/verify/verify.test.ts',
      test: 'a fault in the marks is found if marks are impossible',
    },
  },
  {
    name: 'a map in which a session has reserved grains is given back',
    file: 'store/grains/map-list.ts',
    find: 'map.takenGrains === 0 && map.durable',
    replace: 'map.committedGrains === 0 && map.durable',
    caughtBy: {
      file: 'test/store/grains/stratum.test.ts',
      test: 'a stratum drops its empty maps, the last in the file first, while as many grains stay free',
    },
  },
  {
    name: 'a map that is given back goes on taking values until then',
    file: 'store/grains/free-grains.ts',
    find: lines(
      '    if (map.pages.some(({ listed }) => listed < 0)) return false;',
      '    for (const page of map.pages) this.#allocator.remove(page);',
    ),
    replace: '    if (map.pages.some(({ listed }) => listed < 0)) return false;',
    caughtBy: {
      file: 'test/store/grains/stratum.test.ts',
      test: 'a stratum gives no grains of a map that one value had to itself until it was freed',
    },
  },
  {
    name: 'the place of a map that was given back is used again before the settle',
    file: 'store/grains/atlas.ts',
    find: lines('      this.leaving.add(extent);', '      this.leavingPages += extent.pages;'),
    replace: lines(
      '      if (this.#space.endPage > 0) this.#space.free(extent.page, extent.pages);',
      '      else this.leaving.add(extent);',
    ),
    caughtBy: {
      file: 'test/store/settle/housekeeping.test.ts',
      test: 'a settle begins in the end, though every batch leaves a map that can be given back',
    },
  },
  {
    name: 'the indexes of a map that was given back are used for the next map',
    file: 'store/grains/map-list.ts',
    find: lines('    this.#lastFound = undefined;', '    return map;'),
    replace: lines(
      '    this.#lastFound = undefined;',
      '    if (map.firstIndex + map.grains === this.endIndex) this.endIndex = map.firstIndex;',
      '    return map;',
    ),
    caughtBy: {
      file: 'test/store/grains/map-list.test.ts',
      test: 'adds maps only behind every map that it ever had',
    },
  },
  {
    name: 'pages behind a stretch that was taken are given out twice',
    file: 'store/file/free-stretches.ts',
    find: 'this.insert(page + pages, length - pages)',
    replace: 'this.insert(page + pages - 1, length - pages + 1)',
    caughtBy: {
      file: 'test/store/commit/own-maps.test.ts',
      test: 'a large value goes to places that lie apart before the file grows',
    },
  },
  {
    name: 'a stretch that was freed is not joined with the one in front of it',
    file: 'store/file/free-stretches.ts',
    find: 'this.#starts.get(page) ?? page',
    replace: 'page',
    caughtBy: {
      file: 'test/store/file/space.test.ts',
      test: 'gives out no page twice, takes pages back as one, and adds up, after any history',
    },
  },
  {
    name: 'the second place of a map counts as free on opening',
    file: 'store/state/extents.ts',
    find: 'used.push(...map.extents)',
    replace: 'used.push(...map.extents.slice(0, 1))',
    caughtBy: {
      file: 'test/store/grains/spread-map.test.ts',
      test: 'a map in several extents, with a head, has the values that were put into it, committed, killed and closed',
    },
  },
  {
    name: 'the other slot of a document counts as free on opening',
    file: 'store/state/extents.ts',
    find: 'used.push({ page, pages: 2 * capacityPages })',
    replace: 'used.push({ page, pages: capacityPages })',
    caughtBy: {
      file: 'test/store/commit/own-maps.test.ts',
      test: 'a large value goes to places that lie apart before the file grows',
    },
  },
  {
    name: 'closing cuts off a page that is in use',
    file: 'store/commit/durable-writer.ts',
    find: '    const length = space.endPage * pageBytes;',
    replace: '    const length = (space.endPage - 1) * pageBytes;',
    caughtBy: {
      file: 'test/store/verify/verify.test.ts',
      test: 'a fault in the marks is found if marks are impossible',
    },
  },
  {
    name: 'a long reserve is filled in pieces, which large batches take for values',
    file: 'store/settle/housekeeping.ts',
    find: '    const most = ahead ? Math.ceil(fillBytesMax / pageBytes) : missing;',
    replace: '    const most = Math.ceil(fillBytesMax / pageBytes);',
    caughtBy: {
      file: 'test/store/settle/housekeeping.test.ts',
      test: 'large batches fill a long reserve once, and leave it to the store',
    },
  },
  {
    name: 'pages of a sparse file that the disk has refused are given out again',
    file: 'store/file/space.ts',
    find: '    if (isInside) this.#holes.add(page, endPage);',
    replace: '',
    caughtBy: {
      file: 'test/store/file/space-on-full-disk.test.ts',
      test: 'gives out no page that was refused until the file has grown again',
    },
  },
  {
    name: 'a reopened store gives its reserve to values before it knows whether the file can grow',
    file: 'store/file/space.ts',
    find: `    if (this.#wall < anywhere) this.keepReserve();
    const found = this.#takeFree(pages);`,
    replace: '    const found = this.#takeFree(pages);',
    caughtBy: {
      file: 'test/store/file/reserve.test.ts',
      test: 'values do not take the reserve before it is known whether the file can grow',
    },
  },
  {
    name: 'documents cut the start off the reserve',
    file: 'store/file/reserve.ts',
    find: "    const page = from === 'start' ? extent.page + pages : extent.page;",
    replace: "    from = 'start';\n    const page = extent.page + pages;",
    caughtBy: {
      file: 'test/store/file/reserve.test.ts',
      test: 'a log segment fits into the reserve again after a body and documents have taken of it',
    },
  },
  {
    name: 'pages that a write skips on a full disk stay free',
    file: 'store/file/space.ts',
    find: '    if (this.#tight && page > this.#backed) this.#skipped(this.#backed, page);',
    replace: '    if (this.#tight && page > this.#backed) this.#holes.add(this.#backed, page);',
    caughtBy: {
      file: 'test/store/file/space-on-full-disk.test.ts',
      test: 'gives out no free page that a write behind the end has skipped',
    },
  },
  {
    name: 'a new length of the file is before the end of a write in flight',
    file: 'store/file/file-writer.ts',
    find: '      const length = Math.max(end + step, this.#inFlightEnd);',
    replace: '      const length = end + step;',
    caughtBy: {
      file: 'test/store/file/file-writer.test.ts',
      test: 'past the end of a write in flight: a shorter length would cut off what it writes',
    },
  },
  {
    name: 'a settle writes mark pages of maps that were dropped since it began',
    file: 'store/settle/settle.ts',
    find: '      if (!dirty.stratum.pages.dirty.has(dirty.page)) continue;',
    replace: '',
    caughtBy: {
      file: 'test/regression/map-dropped-during-a-settle.test.ts',
      test: 'a map may be dropped while a settle has its mark page still to write',
    },
  },
];
