/**
 * Following the log, on logs put together record by record: whatever becomes of it between two
 * reads, every change after the floor of the differences is known.
 */

import { describe, expect, it } from 'vitest';
import { encodeFileHeader } from '../../../src/format/file-header.ts';
import { pageBytes, sectorBytes } from '../../../src/format/layout.ts';
import { LogRecordWriter } from '../../../src/format/log-record.ts';
import { encodeRecordSectors } from '../../../src/format/log-sector.ts';
import type { StorageFile } from '../../../src/io/file-system.ts';
import { memoryFileSystem } from '../../../src/io/memory-file-system.ts';
import { FileReader } from '../../../src/store/file/file-reader.ts';
import { LogTail } from '../../../src/store/log/log-tail.ts';
import { headerOfLog, salt } from './log-header.ts';

const segment = { page: 2, pages: 16 };
const header = headerOfLog(segment);

/** What the log has: of each batch after the base, the index of the one value that it allocates. */
type Allocations = readonly number[];
/** Instead of an index: the record does not read back. */
const torn = 1;

async function fileOf(allocations: Allocations): Promise<StorageFile> {
  const options = { create: true, exclusive: false, readOnly: false };
  const file = await memoryFileSystem().open('log', options);
  file.truncateSync(40 * pageBytes);
  for (const copy of [0, 1]) file.writeSync([encodeFileHeader(header)], copy * pageBytes);
  const next = [...header.laneSectors];
  for (const [at, index] of allocations.entries()) {
    const batch = header.base + 1 + at;
    const preamble = { committedAt: 0, embeddedHeader: 0n, checkpoint: 0, retainedLogBytes: 0 };
    const writer = new LogRecordWriter({ batch, ...preamble });
    writer.allocate({ basin: 0, stratum: 0, index, count: 2, length: 50 }, 0);
    const sector = next[batch % 2] as number;
    const bytes = encodeRecordSectors(
      writer.finish(),
      { epoch: 4, batch, sector },
      undefined,
      salt,
    );
    if (index === torn) bytes.fill(0xa5);
    file.writeSync([bytes], sector * sectorBytes);
    next[batch % 2] = sector + bytes.length / sectorBytes;
  }
  return file;
}

/** A file that is another one from some read on. */
class ReplacedFile {
  now: StorageFile;
  #later: { readonly file: StorageFile; reads: number } | undefined;

  constructor(now: StorageFile) {
    this.now = now;
  }

  replaceAfter(reads: number, file: StorageFile): void {
    this.#later = { reads, file };
  }

  readSync(target: Uint8Array, position: number): number {
    if (this.#later !== undefined) {
      if (this.#later.reads === 0) this.now = this.#later.file;
      this.#later.reads -= 1;
    }
    return this.now.readSync(target, position);
  }

  length(): number {
    return this.now.length();
  }
}

function tailOf(file: ReplacedFile): LogTail {
  const reader = new FileReader(file as unknown as StorageFile, 'log');
  reader.salt = salt;
  const { segments, laneSectors, checkpoint } = header;
  const place = { segments, laneSectors, next: header.base + 1 };
  return new LogTail(reader, {
    header,
    checkpoint,
    ...place,
    last: undefined,
    reverted: undefined,
  });
}

function expectKnown(tail: LogTail, allocations: Allocations): void {
  expect(tail.newest).toBe(header.base + allocations.length);
  for (const [at, index] of allocations.entries()) {
    const batch = header.base + 1 + at;
    if (batch <= tail.differences.floor) continue;
    const id = { basin: 0, stratum: 0, index };
    const first = tail.differences.firstAfter(id, tail.differences.floor);
    expect(first, `the allocation of batch ${batch}`).toEqual({ batch, kind: 'allocate' });
  }
}

describe('following the log', () => {
  it('reads the allocations of each record', async () => {
    const tail = tailOf(new ReplacedFile(await fileOf([100, 200, 300])));
    expect(tail.follow()).toBe(true);
    expectKnown(tail, [100, 200, 300]);
    expect(tail.era).toBe(0);
  });

  it('takes the log in again from the base if its last record has become another', async () => {
    for (let reads = 0; reads < 60; reads++) {
      const file = new ReplacedFile(await fileOf([100, 200, 300]));
      const tail = tailOf(file);
      expect(tail.follow()).toBe(true);
      // A record that is not whole, before one that is: the tail begins anew at the base. While it
      // passes the records again, the last one is replaced.
      file.now = await fileOf([100, 200, 300, torn, 500]);
      const left = await fileOf([100, 200, 400]);
      file.replaceAfter(reads, left);
      tail.follow();
      file.now = left;
      expect(tail.follow()).toBe(true);
      expectKnown(tail, [100, 200, 400]);
      expect(tail.era).toBe(1);
    }
  });
});
