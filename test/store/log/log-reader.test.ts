/** Reading the retained log on a disk that fails once: the next read of the batch succeeds. */

import { expect, it } from 'vitest';
import { pageBytes, sectorBytes } from '../../../src/format/layout.ts';
import { LogRecordWriter } from '../../../src/format/log-record.ts';
import { encodeRecordSectors } from '../../../src/format/log-sector.ts';
import { memoryFileSystem } from '../../../src/io/memory-file-system.ts';
import { FileReader } from '../../../src/store/file/file-reader.ts';
import { laneRange } from '../../../src/store/log/commit-log.ts';
import { LogReader } from '../../../src/store/log/log-reader.ts';

const salt = new Uint8Array(8);
const segment = { page: 2, pages: 16, firstBatch: 2 };

it('a record whose body could not be read is read the next time', async () => {
  const options = { create: true, exclusive: false, readOnly: false };
  const file = await memoryFileSystem().open('log', options);
  file.truncateSync(40 * pageBytes);
  const preamble = { committedAt: 7, embeddedHeader: 0n, checkpoint: 0, retainedLogBytes: 0 };
  const body = new LogRecordWriter({ batch: 2, ...preamble }).finish();
  const extent = { page: 30, pages: 1 };
  file.writeSync([body], extent.page * pageBytes);
  const sector = laneRange(segment, 0).from;
  const place = { epoch: 1, batch: 2, sector };
  file.writeSync([encodeRecordSectors(body, place, extent, salt)], sector * sectorBytes);

  const { readSync } = file;
  let isFailing = true;
  file.readSync = (target, position) => {
    if (position === extent.page * pageBytes && isFailing) {
      isFailing = false;
      throw Object.assign(new Error('EIO'), { code: 'EIO' });
    }
    return readSync.call(file, target, position);
  };
  const reader = new FileReader(file, 'log');
  reader.salt = salt;
  const log = new LogReader(reader, { segments: [segment] });
  expect(() => log.read(2)).toThrow(expect.objectContaining({ code: 'VARVE_IO' }));
  expect(log.read(2).record.committedAt).toBe(7);
});
