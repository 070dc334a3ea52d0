/**
 * Faults in reading and checking: checksums that are not looked at, structures that are believed in
 * the wrong place, a cache that is behind the file, reads that overlap a change.
 */

import { lines, type SeededFault } from './seeded-fault.ts';

export const faultsOfReading: readonly SeededFault[] = [
  {
    name: 'the checksum of a value is not checked',
    file: 'store/values/value-place.ts',
    find: '  if (expected === actual) return;',
    replace: '  if (expected === actual || place.capacity > 0) return;',
    caughtBy: {
      file: 'test/store/values/value-reader.test.ts',
      test: 'a value reader with a cache refuses a value whose bytes, length, id or place are not those stored',
    },
  },
  {
    name: 'the checksum of a value does not cover its id: a misdirected value is accepted',
    file: 'format/value.ts',
    find: '  setGrainId(idAndLength, 0, id);',
    replace: '  setGrainId(idAndLength, 0, { ...id, index: 0 });',
    caughtBy: {
      file: 'test/store/values/value-reader.test.ts',
      test: 'a value reader with a cache refuses a value whose bytes, length, id or place are not those stored',
    },
  },
  {
    name: 'a value that is longer than its grains is read beyond them',
    file: 'store/values/value-place.ts',
    find: '  if (length + valuePrefixBytes <= place.capacity) return length;',
    replace: '  if (length >= 0) return length;',
    caughtBy: {
      file: 'test/store/values/value-reader.test.ts',
      test: 'a value reader with a cache refuses a length that its grains cannot hold, before it makes room for it',
    },
  },
  {
    name: 'the checksum of a seal is not checked',
    file: 'format/seal.ts',
    find: "  if (crc !== getU32(bytes, 4)) return 'fails its checksum';",
    replace: '  if (crc === undefined) return "fails its checksum";',
    caughtBy: {
      file: 'test/format/seal.test.ts',
      test: 'a seal describes in words what is wrong, and where',
    },
  },
  {
    name: 'a structure is accepted that is not the one that its parent names',
    file: 'format/seal.ts',
    find: 'found.seal.generation !== name.generation || found.crc !== name.crc',
    replace: 'found.seal.kind !== name.kind',
    caughtBy: {
      file: 'test/format/seal.test.ts',
      test: 'a seal describes in words what is wrong, and where',
    },
  },
  {
    name: 'a structure is accepted that was written to the wrong place',
    file: 'format/seal.ts',
    find: "  if (seal.page !== at.page) return 'belongs to another place';",
    replace: '',
    caughtBy: {
      file: 'test/format/seal.test.ts',
      test: 'a seal describes in words what is wrong, and where',
    },
  },
  {
    name: 'the checksum of a file header is not checked',
    file: 'format/file-header.ts',
    find: "  if (crc !== getU32(sector, headerCrcOffset)) return { state: 'damaged' };",
    replace: "  if (crc === undefined) return { state: 'damaged' };",
    caughtBy: {
      file: 'test/store/verify/verify.test.ts',
      test: 'a fault in the structures on the disk is found if copy 0 of the file header is damaged, or gone',
    },
  },
  {
    name: 'the checksum of a sector of the log is not checked',
    file: 'format/log-sector.ts',
    find: "  if (crc32(bytes.subarray(4, sectorBytes)) !== getU32(bytes, 0)) return 'rotten';",
    replace: '',
    caughtBy: {
      file: 'test/store/log/log-scan.test.ts',
      test: 'the scan takes a first sector that is neither whole nor blank for corruption',
    },
  },
  {
    name: 'a sector of the log is accepted that was written to the wrong place',
    file: 'format/log-sector.ts',
    find: 'getU48(bytes, 24) !== sector || used > logPayloadBytes',
    replace: 'used > logPayloadBytes',
    caughtBy: {
      file: 'test/format/log-sector.test.ts',
      test: 'a sector in another place, or of a file with another salt in any byte, is rotten',
    },
  },
  {
    name: 'a sector of the log of another file is accepted',
    file: 'format/log-sector.ts',
    find: "if (bytes[4 + at] !== salt[at]) return 'rotten';",
    replace: "if (bytes[4 + at] === undefined) return 'rotten';",
    caughtBy: {
      file: 'test/format/log-sector.test.ts',
      test: 'a sector in another place, or of a file with another salt in any byte, is rotten',
    },
  },
  {
    name: 'the checksum of a record’s body is not checked',
    file: 'store/log/record-reader.ts',
    find: "  if (crc32(body) !== found.head.bodyCrc) return 'the body fails its checksum';",
    replace: '',
    caughtBy: {
      file: 'test/store/log/log-scan.test.ts',
      test: 'the body of a record is read from its own place if it has one',
    },
  },
  {
    name: 'sectors of two records make one',
    file: 'store/log/record-reader.ts',
    find: 'whole.batch === found.batch && whole.epoch === found.epoch',
    replace: 'whole.ordinal === ordinal',
    caughtBy: {
      file: 'test/store/log/log-scan.test.ts',
      test: 'the body of a record is read back from its sectors, and only if all of them are its own',
    },
  },
  {
    name: 'marks that no history leaves behind are accepted',
    file: 'store/marks/mark-page.ts',
    find: '    if (areMarksPossible(this.marks, this.grains)) return;',
    replace: '    if (this.loaded) return;',
    caughtBy: {
      file: 'test/store/marks/mark-page.test.ts',
      test: 'a mark page refuses exactly those marks that no values have',
    },
  },
  {
    name: 'a write does not bring the cache up to date',
    file: 'store/file/file-writer.ts',
    find: lines('    this.#observer.written(chunks, offset);', '    this.#bytesWritten += bytes;'),
    replace: '    this.#bytesWritten += bytes;',
    caughtBy: {
      file: 'test/store/commit/own-maps.test.ts',
      test: 'a value among the many of a shared map leaves its place to the next',
    },
  },
  {
    name: 'the cache keeps the old bytes after a failed write',
    file: 'store/file/file-writer.ts',
    find: '    this.#observer.forget(offset, bytes);',
    replace: '',
    caughtBy: { file: 'test/store/commit/retry-alone.test.ts' },
  },
  {
    name: 'the cache still returns a value that was freed',
    file: 'store/values/value-reader.ts',
    find: lines('    this.#cache.uncheck(offset);', '    this.#distrusted.delete(offset);'),
    replace: '    this.#distrusted.delete(offset);',
    caughtBy: { file: 'test/store/freed-reads.test.ts' },
  },
  {
    name: 'values of a block stay marked as checked when the block is written',
    file: 'store/values/block-cache.ts',
    find: '        this.#table.uncheck(cell);',
    replace: '',
    caughtBy: { file: 'test/store/values/block-cache.test.ts' },
  },
  {
    name: 'a value that was freed while it was read is returned',
    file: 'store/readers/present-reads.ts',
    find: '      if (watch.isFreed) return undefined;\n      if (watch.moves',
    replace: '      if (watch.moves',
    caughtBy: {
      file: 'test/contract/values.test.ts',
      test: 'a value that is archived, then freed gives undefined to a getAsync in flight when it is only freed',
    },
  },
  {
    name: 'a read of a value that is freed meanwhile finds damage in another value',
    file: 'store/readers/present-reads.ts',
    find: '      if (watch.isFreed) return undefined;',
    replace: '',
    caughtBy: {
      file: 'test/contract/values.test.ts',
      test: 'a value that is archived, then freed gives undefined to a getAsync in flight when its grains have another value',
    },
  },
];
