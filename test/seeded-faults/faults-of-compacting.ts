/**
 * Faults in compaction: what is copied, when a map may move, what follows it to its new place, and
 * when its old place is free.
 */

import { lines, type SeededFault } from './seeded-fault.ts';

const cuts = 'test/crash/compaction-cuts.test.ts';
const histories = 'test/support/lives/compaction-histories.test.ts';
const lone = 'test/store/compact/lone-moves.test.ts';
const besideVerify = 'test/store/compact/beside-verify.test.ts';
const beside = 'test/store/compact/beside-commits.test.ts';
const stops = 'test/store/compact/stops.test.ts';

export const faultsOfCompacting: readonly SeededFault[] = [
  {
    name: 'maps move before their copies are synced',
    file: 'store/compact/compaction.ts',
    find: '    yield sync;\n',
    replace: '',
    caughtBy: { file: cuts, test: 'compaction of' },
  },
  {
    name: 'copies are synced beside a batch',
    file: 'store/commit/committer.ts',
    find: "    await this.#doOwn('sync of copies');",
    replace: '    await this.#core.writer.perform(this.#writer.sync());',
    caughtBy: { file: beside, test: 'no two syncs are in flight at once' },
  },
  {
    name: 'a map is copied while some of its grains are reserved',
    file: 'store/grains/free-grains.ts',
    find: '    return map.takenGrains === map.committedGrains && this.close(map);',
    replace: '    return this.close(map);',
    caughtBy: { file: histories, test: 'compaction beside sessions that hold values' },
  },
  {
    name: 'a map that is being copied takes values',
    file: 'store/grains/free-grains.ts',
    find: lines(
      '    this.takeBackSetAside();',
      '    for (const page of map.pages) this.#allocator.remove(page);',
    ),
    replace: '    this.takeBackSetAside();',
    caughtBy: { file: histories, test: 'compaction beside commits' },
  },
  {
    name: 'the old place of a map is free when its move is published',
    file: 'store/grains/atlas.ts',
    find: lines('    stratum.moves.replace(map, parts);', '    this.leave(map.extents);'),
    replace: lines(
      '    stratum.moves.replace(map, parts);',
      '    for (const { page, pages } of map.extents) this.#space.free(page, pages);',
    ),
    caughtBy: { file: cuts, test: 'two compactions, one after another' },
  },
  {
    name: 'a move forgets which values sessions are about to archive',
    file: 'store/grains/map-replacements.ts',
    find: '      map?.pageOf(index).claim();\n',
    replace: '',
    caughtBy: { file: histories, test: 'compaction beside sessions that hold values' },
  },
  {
    name: 'a value that is not to be trusted is trusted at its new place',
    file: 'store/values/value-reader.ts',
    find: '      this.#distrusted.add(to);\n',
    replace: '',
    caughtBy: {
      file: 'test/store/compact/moved-values.test.ts',
      test: 'a value that is not the one',
    },
  },
  {
    name: 'an asynchronous read does not look whether its map has moved',
    file: 'store/commit/publish.ts',
    find: '    core.watches.moved({ basin, stratum: number, index }, grains);\n',
    replace: '',
    caughtBy: { file: 'test/store/compact/moved-values.test.ts', test: 'a read under way' },
  },
  {
    name: 'the parts of a map that is cut lack the last grain of each',
    file: 'store/compact/next-moves.ts',
    find: '      ranges.push({ firstIndex, grains });',
    replace: '      ranges.push({ firstIndex, grains: grains - 1 });',
    caughtBy: { file: histories, test: 'compaction that cuts maps into parts' },
  },
  {
    name: 'the old place of a copied log segment is free at once',
    file: 'store/compact/compaction.ts',
    find: '      atlas.leave([segment, ...bodies].map(({ page, pages }) => ({ page, pages })));',
    replace: '      for (const { page, pages } of [segment, ...bodies]) space.free(page, pages);',
    caughtBy: { file: 'test/store/compact/log.test.ts', test: 'until a settle' },
  },
  {
    name: 'the sectors of a copied log segment name their old places',
    file: 'store/compact/log-copy.ts',
    find: '        relocateSector(one, { from, to, bodyPage }, reader.salt);',
    replace: '        void [one, from, to, bodyPage, relocateSector];',
    caughtBy: { file: histories, test: 'compaction of documents and of the log' },
  },
  {
    name: 'a file that was cut counts as written behind its end',
    file: 'store/file/space.ts',
    find: '    this.#frontier = Math.min(this.#frontier, endPage);\n    this.#backed = Math.min(this.#backed, endPage);',
    replace: '    this.#backed = Math.min(this.#backed, endPage);',
    caughtBy: {
      file: 'test/store/file/space.test.ts',
      test: 'nothing is written behind the end of a file that was cut',
    },
  },
  {
    name: 'a map whose copy was given up takes no values again',
    file: 'store/compact/compaction.ts',
    find: '    if (stratum.mapWith(map.firstIndex) === map) stratum.moves.letGo(map);\n',
    replace: '',
    caughtBy: { file: stops, test: 'a call of the disk fails during a compaction' },
  },
  {
    name: 'the place of a copy that was given up stays taken',
    file: 'store/state/lent-pages.ts',
    find: '    for (const { page, pages } of this.#extents) this.#space.free(page, pages);\n',
    replace: '',
    caughtBy: { file: stops, test: 'a call of the disk fails during a compaction' },
  },
  {
    name: 'an automatic compaction that ends frees the new places of maps that a batch in flight moves',
    file: 'store/compact/automatic.ts',
    find: 'if (!this.#isMoving) this.#end();',
    replace: 'this.#end();',
    caughtBy: { file: 'test/store/compact/automatic.test.ts', test: 'in flight' },
  },
  {
    name: 'the pages of a map that has moved are freed when it was dropped',
    file: 'store/commit/publish.ts',
    find: '    move.loan.own();\n',
    replace: '',
    caughtBy: { file: 'test/store/compact/moved-and-dropped.test.ts' },
  },
  {
    name: 'a healed basin names maps that were replaced since',
    file: 'store/open/loading.ts',
    find: '        else found.stratum.moves.placeParts(',
    replace: '        else void ((..._: unknown[]) => undefined)(',
    caughtBy: { file: 'test/damage/twins.test.ts' },
  },
  {
    name: 'the grains of maps that a healed basin did not name are not counted',
    file: 'store/grains/map-replacements.ts',
    find: '      map.countCommitted(committed - map.committedGrains);\n    }',
    replace: '    }',
    caughtBy: { file: 'test/damage/twins.test.ts' },
  },
  {
    name: 'maps move while a settle writes structures',
    file: 'store/settle/housekeeping.ts',
    find: '    return this.#settle?.isWriting !== true;',
    replace: '    return true;',
    caughtBy: { file: lone, test: 'a map moves only when a settle has written all' },
  },
  {
    name: 'zeros count as written behind the end of a file that was cut',
    file: 'store/file/file-writer.ts',
    find: '    this.zeroed.cut(endPage);\n',
    replace: '',
    caughtBy: { file: 'test/store/compact/written-segments.test.ts' },
  },
  {
    name: 'replay moves a map again whose basin was healed',
    file: 'store/open/replay.ts',
    find: '        if (batch > parts.rootStamp) replayReplaced(parts, operation, batch);',
    replace: '        replayReplaced(parts, operation, batch);',
    caughtBy: { file: lone, test: 'a map that moves in parts' },
  },
  {
    name: 'replay leaves maps where they were',
    file: 'store/open/replay.ts',
    find: '        if (batch > parts.rootStamp) replayReplaced(parts, operation, batch);',
    replace: '        void [parts.rootStamp, replayReplaced];',
    caughtBy: { file: lone, test: 'values that are written to a map that has moved' },
  },
  {
    name: 'verification does not know of lent pages',
    file: 'store/state/lent-pages.ts',
    find: '    for (const extent of extents) this.#extents.add(extent);\n',
    replace: '',
    caughtBy: { file: besideVerify, test: 'at any step of a compaction' },
  },
  {
    name: 'pages that are being trimmed are not lent',
    file: 'store/compact/trim.ts',
    find: 'lent.lend([{ page, pages }]);',
    replace: '{ giveBack: (): void => space.free(page, pages) };',
    caughtBy: { file: besideVerify, test: 'given back to the file system' },
  },
  {
    name: 'the body of a record that was freed while it was copied is left again',
    file: 'store/compact/compaction.ts',
    find: 'log.segments.includes(segment) && isThere;',
    replace: 'log.segments.includes(segment) && (isThere || true);',
    caughtBy: { file: besideVerify, test: 'frees the body of a record' },
  },
  {
    name: 'the new place of a map is given back although it has moved there',
    file: 'store/compact/compaction.ts',
    find: 'if (this.#core.poisoned || loan.isOwned) return;',
    replace: 'if (this.#core.poisoned) return;',
    caughtBy: { file: lone, test: 'a compaction that stops when its batch is durable' },
  },
];
