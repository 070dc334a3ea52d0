/**
 * The commit log and the operations of its records as `spec/format.md` tells them, against what the
 * code writes.
 *
 * The other structures are held by layout.test.ts.
 */

import { describe, expect, it } from 'vitest';
import { rowsAfter } from '../../scripts/spec-tables.ts';
import { GrainId } from '../../src/format/grain-id.ts';
import * as layout from '../../src/format/layout.ts';
import { LogRecordWriter } from '../../src/format/log-record.ts';
import { encodeRecordSectors } from '../../src/format/log-sector.ts';
import { crc32 } from '../../src/util/crc.ts';
import { patternOf } from '../support/bytes.ts';
import { next } from './distinct-numbers.ts';
import { hex, readPart, readWhole, spec, tables } from './table-reader.ts';

const salt = patternOf(layout.saltBytes, 3);

describe('the commit log in the spec', () => {
  const place = { epoch: next(4), batch: next(6), sector: next(6) };

  it('has the sectors of a record as they are written', () => {
    const body = patternOf(480 - 24 + 100);
    const bytes = encodeRecordSectors(body, place, undefined, salt);
    expect(bytes.length).toBe(2 * layout.sectorBytes);
    const payloads = [body.subarray(0, 456), body.subarray(456)];
    for (const [ordinal, part] of payloads.entries()) {
      const sector = bytes.subarray(ordinal * 512, (ordinal + 1) * 512);
      const { payload, ...head } = readWhole('log sector', sector);
      expect(head).toEqual({
        crc: crc32(sector.subarray(4)),
        salt: hex(salt),
        epoch: place.epoch,
        batch: place.batch,
        ordinal,
        sector: place.sector + ordinal,
        used: part.length + (ordinal === 0 ? 24 : 0),
      });
      const unused = 480 - Number(head['used']);
      expect(String(payload).endsWith(hex(part) + '00'.repeat(unused))).toBe(true);
    }
    const inline = { page: 0, pages: 0 };
    const head = { 'body bytes': body.length, 'body crc': crc32(body), sectors: 2, outside: 0 };
    expect(readPart('record head', bytes, 32)).toEqual({ ...head, ...inline });
  });

  it('has the head of a record whose body is outside as it is written', () => {
    const body = patternOf(5000);
    const extent = { page: next(6), pages: next(4) };
    const bytes = encodeRecordSectors(body, place, extent, salt);
    expect(bytes.length).toBe(layout.sectorBytes);
    expect(readPart('log sector', bytes, 0, 'payload')).toMatchObject({ used: 24, ordinal: 0 });
    const head = { 'body bytes': 5000, 'body crc': crc32(body), sectors: 1, outside: 1 };
    expect(readPart('record head', bytes, 32)).toEqual({ ...head, ...extent });
  });

  it('has the body of a record as it is written', () => {
    const preamble = {
      batch: next(6),
      committedAt: next(6),
      embeddedHeader: GrainId.of(1, 2, 3),
      checkpoint: next(6),
      retainedLogBytes: next(6),
    };
    const body = new LogRecordWriter(preamble).finish();
    expect(readPart('record body', body, 0, 'operations')).toEqual({
      batch: preamble.batch,
      'committed at': preamble.committedAt,
      'embedded header': { index: 3, 'stratum from 1': 3, 'basin from 1': 2 },
      checkpoint: preamble.checkpoint,
      'retained log bytes': preamble.retainedLogBytes,
    });
    expect(body.length).toBe(32);
  });
});

describe('the operations in the spec', () => {
  const lines = spec.split('\n');
  const rows = rowsAfter(lines, lines.indexOf('**Operations**'));
  const numbers: Record<string, number> = {
    basin: 3,
    stratum: 4,
    'grain exponent': 9,
    'first index': 0x0102_0304_0506,
    grains: 0x0708_090a,
    page: 0x0b0c_0d0e_0f10,
    crc: 0x1112_1314,
    'further extent count': 2,
    'part count': 2,
  };
  const parts = [
    { firstIndex: 0x0102_0304_0506, grains: 0x4142_4344, page: 0x4546_4748_494a },
    { firstIndex: 0x0202_0304_0506, grains: 0x5152_5354, page: 0x5556_5758_595a },
  ];
  const further = [
    { page: 0x2122_2324_2526, pages: 0x2728_292a },
    { page: 0x3132_3334_3536, pages: 0x3738_393a },
  ];
  const preamble = {
    batch: 1,
    committedAt: 0,
    embeddedHeader: 0n,
    checkpoint: 0,
    retainedLogBytes: 0,
  };
  const run = { basin: 3, stratum: 4, index: 100, count: 2, length: 300 };
  /** A distance of 100 as a zigzag, 2 grains, 300 bytes as a varint. */
  const runBytes = [200 | 0x80, 1, 2, (300 & 0x7f) | 0x80, 2];

  /** By the table of a map extent: page and pages. */
  const extentBytes = further.flatMap(({ page, pages }) => {
    const fields = tables.get('map extent')?.fields.map(({ name, size }) => [name, size]);
    expect(fields).toEqual([
      ['page', 6],
      ['pages', 4],
    ]);
    const bytes = Buffer.alloc(10);
    bytes.writeUIntLE(page, 0, 6);
    bytes.writeUInt32LE(pages, 6);
    return [...bytes];
  });

  /** By the table of a map part. */
  const partBytes = parts.flatMap(({ firstIndex, grains, page }) => {
    const bytes = Buffer.alloc(16);
    bytes.writeUIntLE(firstIndex, 0, 6);
    bytes.writeUInt32LE(grains, 6);
    bytes.writeUIntLE(page, 10, 6);
    expect(readWhole('map part', bytes)).toEqual({ 'first index': firstIndex, grains, page });
    return [...bytes];
  });

  /** The bytes of an operation by the row of its table. */
  function bytesOf(name: string, flags = 0, ofRun = runBytes): number[] {
    const [code, , follows = ''] = rows.find((row) => row[1] === name) ?? [];
    const bytes = [Number.parseInt(code ?? '', 10) | flags];
    for (const field of follows.split(', ')) {
      const [, what = '', bits] = /^(.*) u(\d+)$/.exec(field) ?? [];
      if (field === 'run') bytes.push(...ofRun);
      if (field === 'further extents') bytes.push(...extentBytes);
      if (field === 'parts') bytes.push(...partBytes);
      for (let place = 0; place < Number(bits ?? 0) / 8; place++) {
        bytes.push(Math.floor((numbers[what] ?? 0) / 256 ** place) % 256);
      }
    }
    return bytes;
  }

  function written(add: (writer: LogRecordWriter) => void): number[] {
    const writer = new LogRecordWriter(preamble);
    add(writer);
    return [...writer.finish().subarray(32)];
  }

  const place = { basin: 3, stratum: 4, firstIndex: 0x0102_0304_0506 };

  it.each<[string, (writer: LogRecordWriter) => void]>([
    ['add basin', (writer) => writer.addBasin(3)],
    ['add stratum', (writer) => writer.addStratum(3, 4, 9)],
    [
      'add map',
      (writer) => writer.addMap({ ...place, grains: 0x0708_090a, page: 0x0b0c_0d0e_0f10, further }),
    ],
    ['drop map', (writer) => writer.dropMap(place)],
  ])('have %s as it is written', (name, add) => {
    expect(written(add)).toEqual(bytesOf(name));
  });

  it('have replace map as it is written: a drop map that is replaced', () => {
    const replaced = 0x08;
    const found = written((writer) => writer.replaceMap({ ...place, parts }));
    expect(found).toEqual(bytesOf('replace map', replaced));
  });

  it.each<[string, (writer: LogRecordWriter) => void]>([
    ['allocate', (writer) => writer.allocate(run, 0x1112_1314)],
    ['archive', (writer) => writer.archive(run)],
    ['free', (writer) => writer.free(run)],
  ])('have %s as it is written, after its stratum', (name, add) => {
    expect(written(add)).toEqual([...bytesOf('stratum'), ...bytesOf(name)]);
  });

  it('have the bytes of a carried value in the place of its CRC', () => {
    const bytes = patternOf(run.length + 20);
    const carried = written((writer) => writer.carry(run, bytes, 8));
    const value = [...bytes.subarray(8, 8 + run.length)];
    const carriedFlag = 0x20;
    expect(carried).toEqual([
      ...bytesOf('stratum'),
      ...bytesOf('allocate', carriedFlag).slice(0, -4),
      ...value,
    ]);
  });

  it('leave out the fields that equal those of the run before', () => {
    const adjacent = 0x08;
    const alike = 0x10;
    const found = written((writer) => {
      writer.archive(run);
      writer.archive({ ...run, index: 102 });
      writer.free({ ...run, index: 104, count: 1 });
      writer.archive({ ...run, index: 50, count: 1 });
      writer.free({ ...run, stratum: 5, index: 0, count: 1 });
    });
    expect(found).toEqual([
      ...bytesOf('stratum'),
      ...bytesOf('archive'),
      ...bytesOf('archive', adjacent | alike, []),
      ...bytesOf('free', adjacent, [1, (300 & 0x7f) | 0x80, 2]),
      // From 105 back to 50: -55, told as 109.
      ...bytesOf('archive', alike, [109]),
      ...bytesOf('stratum').slice(0, 2),
      5,
      ...bytesOf('free', adjacent | alike, []),
    ]);
  });

  it('are all operations of the format', () => {
    expect(rows.map(([code]) => code)).toEqual([
      ...['0', '1', '2', '3', '4', '5', '6', '7'],
      '7, *replaced*',
    ]);
  });
});
