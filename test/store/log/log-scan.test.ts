/**
 * The scan of the log at opening, on logs put together record by record: which records count, what
 * is damage, and how bodies are read back.
 */

import { describe, expect, it } from 'vitest';
import type { FileHeader } from '../../../src/format/file-header.ts';
import { sectorBytes } from '../../../src/format/layout.ts';
import { LogRecordWriter } from '../../../src/format/log-record.ts';
import { encodeRecordSectors } from '../../../src/format/log-sector.ts';
import type { StorageFile } from '../../../src/io/file-system.ts';
import { memoryFileSystem } from '../../../src/io/memory-file-system.ts';
import { inOneGo } from '../../../src/store/file/effects.ts';
import { FileReader } from '../../../src/store/file/file-reader.ts';
import { laneRange } from '../../../src/store/log/commit-log.ts';
import { LogReader } from '../../../src/store/log/log-reader.ts';
import { type LogScan, scanLog } from '../../../src/store/log/log-scan.ts';
import { readBody } from '../../../src/store/log/record-reader.ts';
import { headerOfLog, salt } from './log-header.ts';

const first = { page: 2, pages: 16 };
const second = { page: 18, pages: 16 };
const corrupt = expect.objectContaining({ code: 'VARVE_CORRUPT' });

const header = headerOfLog(first, second);

interface Written {
  readonly batch: number;
  readonly epoch?: number;
  readonly bodyBytes?: number;
  readonly segment?: typeof first;
}

/** A file with a log in it: records one after another, each in its lane. */
class LogFile {
  readonly reader: FileReader;
  readonly file: StorageFile;
  readonly #next = new Map<number, number>();

  constructor(file: StorageFile) {
    this.file = file;
    this.reader = new FileReader(file, 'log');
    this.reader.salt = salt;
    file.truncateSync(40 * 4096);
  }

  write({ batch, epoch = 4, bodyBytes = 34, segment = first }: Written): number {
    const { from } = laneRange(segment, batch % 2);
    const sector = this.#next.get(from) ?? from;
    const body = bodyOf(batch, bodyBytes);
    const bytes = encodeRecordSectors(body, { epoch, batch, sector }, undefined, salt);
    this.file.writeSync([bytes], sector * sectorBytes);
    this.#next.set(from, sector + bytes.length / sectorBytes);
    return sector;
  }

  damage(sector: number, at = 100): void {
    this.file.writeSync([new Uint8Array([0xa5, 0x5a])], sector * sectorBytes + at);
  }

  scan(part: Partial<FileHeader> = {}): LogScan {
    return inOneGo(scanLog(this.reader, { ...header, ...part }));
  }
}

/** A body of a record of the batch, made longer by values that it archives. */
function bodyOf(batch: number, bytes: number): Uint8Array {
  const preamble = { committedAt: 0, embeddedHeader: 0n, checkpoint: 0, retainedLogBytes: 0 };
  const writer = new LogRecordWriter({ batch, ...preamble });
  let body = writer.finish();
  for (let index = 0; body.length < bytes; index += 7) {
    writer.archive({ basin: 0, stratum: 0, index, count: 2, length: 50 });
    body = writer.finish();
  }
  return body;
}

async function logOf(...records: readonly Written[]): Promise<LogFile> {
  const options = { create: true, exclusive: false, readOnly: false };
  const log = new LogFile(await memoryFileSystem().open('log', options));
  for (const record of records) log.write(record);
  return log;
}

function batches(scan: LogScan): number[] {
  return scan.records.map(({ batch }) => batch);
}

describe('the scan', () => {
  it('of an empty log finds nothing written', async () => {
    const scan = (await logOf()).scan();
    expect(scan).toMatchObject({ records: [], written: false, epochMax: 0 });
  });

  it('finds the records after the base in order, over lanes and segments', async () => {
    const records = [11, 12, 13, 14].map((batch) => ({ batch, bodyBytes: 100 * batch }));
    const log = await logOf(
      ...records,
      { batch: 15, segment: second },
      { batch: 16, segment: second },
    );
    const scan = log.scan();
    expect(batches(scan)).toEqual([11, 12, 13, 14, 15, 16]);
    expect(scan.records.map(({ segment }) => segment.page)).toEqual([2, 2, 2, 2, 18, 18]);
    expect(scan.written).toBe(true);
    expect(scan.epochMax).toBe(4);
  });

  it('begins at the place that the header names, and skips records before the base', async () => {
    const log = await logOf({ batch: 9 }, { batch: 10 }, { batch: 11 });
    expect(batches(log.scan())).toEqual([11]);
    const later = [laneRange(first, 0).from + 1, laneRange(first, 1).from + 1] as const;
    expect(batches(log.scan({ laneSectors: later }))).toEqual([11]);
    expect(() => log.scan({ laneSectors: [first.page * 8 - 1, later[1]] })).toThrow(corrupt);
  });

  it('counts no record after the confirmed batch that has an older epoch', async () => {
    const log = await logOf({ batch: 11, epoch: 3 }, { batch: 12, epoch: 3 });
    expect(log.scan({ confirmed: 12 })).toMatchObject({ written: false, epochMax: 3 });
    expect(batches(log.scan({ confirmed: 12 }))).toEqual([11, 12]);
    expect(batches(log.scan({ confirmed: 11 }))).toEqual([11]);
    expect(log.scan({ confirmed: 11 }).written).toBe(false);
    expect(batches(log.scan())).toEqual([]);
  });

  it('counts the one with the higher epoch if two records are of one batch', async () => {
    const log = await logOf(
      { batch: 11, epoch: 4 },
      { batch: 11, epoch: 5, bodyBytes: 700 },
      { batch: 12, epoch: 5 },
    );
    const scan = log.scan();
    expect(batches(scan)).toEqual([11, 12]);
    expect(scan.records[0]).toMatchObject({ epoch: 5, head: { sectors: 2 } });
    expect(scan.epochMax).toBe(5);
  });

  it('takes a gap for corruption: a later record is there', async () => {
    const log = await logOf({ batch: 11 }, { batch: 12 }, { batch: 14 });
    expect(() => log.scan()).toThrow(expect.objectContaining({ code: 'VARVE_CORRUPT', batch: 13 }));
    const start = await logOf({ batch: 12 });
    expect(() => start.scan()).toThrow(corrupt);
  });

  it('takes a confirmed batch that is missing for corruption', async () => {
    const log = await logOf({ batch: 11 });
    expect(() => log.scan({ confirmed: 12 })).toThrow(
      expect.objectContaining({ code: 'VARVE_CORRUPT', batch: 12 }),
    );
    expect(batches(log.scan({ confirmed: 11 }))).toEqual([11]);
  });

  it('takes a first sector that is neither whole nor blank for corruption', async () => {
    const log = await logOf({ batch: 11 }, { batch: 12 });
    log.damage(log.write({ batch: 13 }));
    expect(() => log.scan()).toThrow(corrupt);
  });

  it('takes a record that has lost its first sector for the last, and looks behind it', async () => {
    const log = await logOf({ batch: 11 }, { batch: 12 });
    const torn = log.write({ batch: 13, bodyBytes: 1500 });
    log.file.writeSync([new Uint8Array(sectorBytes)], torn * sectorBytes);
    const scan = log.scan();
    expect(batches(scan)).toEqual([11, 12]);
    expect(scan.written).toBe(true);
    log.write({ batch: 15 });
    expect(() => log.scan()).toThrow(expect.objectContaining({ code: 'VARVE_CORRUPT', batch: 13 }));
  });

  it('takes a segment behind the end of the file for corruption', async () => {
    const log = await logOf({ batch: 11 });
    log.file.truncateSync(second.page * 4096);
    expect(() => log.scan()).toThrow(corrupt);
  });
});

describe('the body of a record', () => {
  it('is read back from its sectors, and only if all of them are its own', async () => {
    const log = await logOf({ batch: 11, bodyBytes: 1500 });
    const [found] = log.scan().records;
    if (found === undefined) throw new Error('the record is there');
    expect(found.head.sectors).toBeGreaterThan(3);
    expect(readBody(log.reader, found)).toEqual(bodyOf(11, 1500));
    const { sector } = found;
    const other = encodeRecordSectors(
      bodyOf(11, 1500),
      { epoch: 3, batch: 11, sector },
      undefined,
      salt,
    );
    const mixed = other.subarray(2 * sectorBytes, 3 * sectorBytes);
    log.file.writeSync([mixed], (sector + 2) * sectorBytes);
    expect(readBody(log.reader, found)).toBe('sector 2 is of another record');
    log.damage(sector + 1);
    expect(readBody(log.reader, found)).toBe('sector 1 is rotten');
    log.file.writeSync([new Uint8Array(sectorBytes)], (sector + 1) * sectorBytes);
    expect(readBody(log.reader, found)).toBe('sector 1 is blank');
    log.file.truncateSync((sector + 2) * sectorBytes);
    expect(readBody(log.reader, found)).toBe('the file ends within it');
  });

  it('is not taken from sectors of two attempts that wrote the same batch and epoch', async () => {
    const log = await logOf({ batch: 11, bodyBytes: 1500 });
    const [found] = log.scan().records;
    if (found === undefined) throw new Error('the record is there');
    const place = { epoch: 4, batch: 11, sector: found.sector };
    const later = bodyOf(11, 1500).map((byte, at) => (at > 900 ? byte ^ 1 : byte));
    const other = encodeRecordSectors(later, place, undefined, salt);
    const part = other.subarray(2 * sectorBytes, 3 * sectorBytes);
    log.file.writeSync([part], (found.sector + 2) * sectorBytes);
    expect(readBody(log.reader, found)).toBe('the body fails its checksum');
  });

  it('is read from its own place if it has one', async () => {
    const log = await logOf();
    const body = bodyOf(11, 3000);
    const sector = laneRange(first, 1).from;
    const place = { epoch: 4, batch: 11, sector };
    const bytes = encodeRecordSectors(body, place, { page: 35, pages: 1 }, salt);
    log.file.writeSync([bytes], sector * sectorBytes);
    const [found] = log.scan().records;
    if (found === undefined) throw new Error('the record is there');
    expect(readBody(log.reader, found)).toBe('the body fails its checksum');
    log.file.writeSync([body], 35 * 4096);
    expect(readBody(log.reader, found)).toEqual(body);
    log.file.truncateSync(35 * 4096 + 100);
    expect(readBody(log.reader, found)).toBe('the file ends within the body');
    const head = { ...found.head, extent: { page: 35, pages: 0 } };
    expect(readBody(log.reader, { ...found, head })).toBe('the body is longer than its place');
  });
});

describe('the reader of the retained log', () => {
  const segments = [
    { ...first, firstBatch: 1 },
    { ...second, firstBatch: 5 },
  ];

  it('reads every batch in order, and in any order that rises', async () => {
    const log = await logOf(
      ...[1, 2, 3, 4].map((batch) => ({ batch, bodyBytes: 300 * batch })),
      ...[5, 6, 7].map((batch) => ({ batch, segment: second })),
    );
    for (const step of [1, 2, 3]) {
      const reader = new LogReader(log.reader, { segments });
      for (let batch = 1; batch <= 7; batch += step) {
        const { record, found } = reader.read(batch);
        expect([record.batch, found.batch]).toEqual([batch, batch]);
      }
    }
  });

  it('reads a record that was written after it read ahead', async () => {
    const log = await logOf({ batch: 1 }, { batch: 2 });
    const reader = new LogReader(log.reader, { segments });
    reader.read(1);
    log.write({ batch: 3 });
    expect(reader.read(3).record.batch).toBe(3);
  });

  it('is VARVE_CORRUPT for a batch that is missing or not whole', async () => {
    const log = await logOf({ batch: 1 }, { batch: 2, bodyBytes: 900 });
    const reader = new LogReader(log.reader, { segments });
    expect(() => reader.read(3)).toThrow(corrupt);
    expect(() => new LogReader(log.reader, { segments: [] }).read(1)).toThrow(corrupt);
    log.damage(laneRange(first, 0).from + 1);
    expect(() => new LogReader(log.reader, { segments }).read(2)).toThrow(
      expect.objectContaining({ code: 'VARVE_CORRUPT', batch: 2 }),
    );
  });
});
