/**
 * Bodies of commit log records: every operation comes back, runs are written short, and any bytes
 * are a record or VARVE_CORRUPT.
 */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  basinsMax,
  furtherExtentsMax,
  grainIndexLimit,
  strataMax,
} from '../../src/format/layout.ts';
import {
  decodeLogRecord,
  type GrainRun,
  type LogOperation,
  LogRecordWriter,
  type RecordPreamble,
} from '../../src/format/log-record.ts';
import { valueCrc } from '../../src/format/value.ts';
import {
  expectCorrupt,
  expectSoundOrCorrupt,
  flipped,
  operations,
  preamble,
} from './arbitraries.ts';

const first: RecordPreamble = {
  batch: 7,
  committedAt: 1_700_000_000_000,
  embeddedHeader: 3n,
  checkpoint: 5,
  retainedLogBytes: 512,
};

function write(before: RecordPreamble, list: readonly LogOperation[]): Uint8Array {
  return writeWith(new LogRecordWriter(before, 16), list);
}

function writeWith(writer: LogRecordWriter, list: readonly LogOperation[]): Uint8Array {
  for (const one of list) {
    switch (one.operation) {
      case 'allocate':
        if (one.bytes === undefined) writer.allocate(one, one.crc);
        else writer.carry(one, one.bytes, 0);
        break;
      case 'archive':
        writer.archive(one);
        break;
      case 'free':
        writer.free(one);
        break;
      case 'add-basin':
        writer.addBasin(one.basin);
        break;
      case 'add-stratum':
        writer.addStratum(one.basin, one.stratum, one.grainExp);
        break;
      case 'add-map':
        writer.addMap(one);
        break;
      case 'drop-map':
        writer.dropMap(one);
        break;
      case 'replace-map':
        writer.replaceMap(one);
        break;
    }
  }
  return writer.finish();
}

function run(index: number, part: Partial<GrainRun> = {}): GrainRun {
  return { basin: 0, stratum: 0, index, count: 4, length: 100, ...part };
}

describe('a record', () => {
  it('decodes to its preamble and every operation in order', () => {
    fc.assert(
      fc.property(preamble, operations, (before, list) => {
        const record = decodeLogRecord(write(before, list), 0);
        expect(record).toEqual({ ...before, operations: list });
      }),
      { numRuns: 300 },
    );
  });

  it('is a record or VARVE_CORRUPT for any bytes, and for sound ones changed or cut', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        expectSoundOrCorrupt(() => decodeLogRecord(bytes, undefined));
      }),
      { numRuns: 500 },
    );
    fc.assert(
      fc.property(operations, fc.nat(), fc.nat(60), (list, bit, cut) => {
        const body = write(first, list);
        expectSoundOrCorrupt(() => decodeLogRecord(flipped(body, bit), 0));
        expectSoundOrCorrupt(() => decodeLogRecord(body.subarray(0, body.length - cut), 0));
      }),
      { numRuns: 300 },
    );
  });

  it('is the same in memory that another record was in', () => {
    fc.assert(
      fc.property(preamble, operations, operations, (before, others, list) => {
        const writer = new LogRecordWriter(first, 16);
        writeWith(writer, others);
        writer.restart(before);
        expect(writeWith(writer, list)).toEqual(write(before, list));
      }),
    );
  });

  it('has the bytes of a value that it carries, and takes no byte more', () => {
    const bytes = Uint8Array.of(5, 6, 7);
    const value = run(0, { count: 1, length: 3 });
    const carried: LogOperation = { operation: 'allocate', ...value, crc: 0, bytes };
    const body = write(first, [carried]);
    // Stratum, code, count, length.
    expect(body.length).toBe(write(first, []).length + 3 + 3 + 3);
    expect([...body.subarray(-3)]).toEqual([5, 6, 7]);
    expect(decodeLogRecord(body, 0).operations).toEqual([
      { ...carried, crc: valueCrc(value, bytes) },
    ]);
    expectCorrupt(() => decodeLogRecord(body.subarray(0, body.length - 1), 0));
  });

  it('takes 5 bytes for each value that follows another of its size', () => {
    const values = Array.from({ length: 101 }, (_, at) => run(at * 4));
    const bytesOf = (count: number): number =>
      write(
        first,
        values.slice(0, count).map((one) => ({ operation: 'allocate', ...one, crc: 9 })),
      ).length;
    expect(bytesOf(101) - bytesOf(1)).toBe(5 * 100);
  });

  it('encodes a run by its distance to the last, forwards and back, to the ends of a stratum', () => {
    const indexes = [0, grainIndexLimit - 4, 5, 9, 2 ** 32, 2 ** 32 - 4];
    const list = indexes.map((index): LogOperation => ({ operation: 'free', ...run(index) }));
    expect(decodeLogRecord(write(first, list), 0).operations).toEqual(list);
  });

  it('counts distances anew in each stratum', () => {
    const list: LogOperation[] = [
      { operation: 'archive', ...run(8) },
      { operation: 'archive', ...run(0, { stratum: 1 }) },
      { operation: 'archive', ...run(12) },
    ];
    expect(decodeLogRecord(write(first, list), 0).operations).toEqual(list);
  });
});

describe('an impossible record is VARVE_CORRUPT', () => {
  const head = (): number[] => [...write(first, [])];
  const decode =
    (...bytes: number[]) =>
    () =>
      decodeLogRecord(new Uint8Array(bytes), 0);

  it('if it has a value before a stratum operation', () => {
    expectCorrupt(decode(...head(), 2, 0, 4, 100));
  });

  it('if a value has no grains, or ends after the last possible grain', () => {
    expectCorrupt(decode(...head(), 0, 0, 0, 2, 0, 0, 100));
    const beyond = write(first, [{ operation: 'free', ...run(grainIndexLimit - 3) }]);
    expectCorrupt(() => decodeLogRecord(beyond, 0));
    const before = write(first, [{ operation: 'free', ...run(-1) }]);
    expectCorrupt(() => decodeLogRecord(before, 0));
  });

  it('if the first value is marked as like the one before', () => {
    expectCorrupt(decode(...head(), 0, 0, 0, 2 + 0x08 + 0x10));
  });

  it('if an operation other than an allocation carries a value, or a bit is unknown', () => {
    const carried = 0x20;
    expect(decode(...head(), 0, 0, 0, 1 | carried, 0, 1, 2, 77, 78)().operations).toHaveLength(1);
    for (const code of [0, 2, 3, 4, 5, 6, 7]) {
      expectCorrupt(decode(...head(), 0, 0, 0, code | carried, 0, 1, 2, 77, 78));
    }
    for (const bit of [0x40, 0x80]) {
      expectCorrupt(decode(...head(), 0, 0, 0, 1 | carried | bit, 0, 1, 2, 77, 78));
    }
  });

  it('if a carried value is longer than the rest of the record', () => {
    expectCorrupt(decode(...head(), 0, 0, 0, 1 | 0x20, 0, 1, 3, 77, 78));
    // A length of almost 4 GiB.
    expectCorrupt(decode(...head(), 0, 0, 0, 1 | 0x20, 0, 1, 0xff, 0xff, 0xff, 0xff, 0x0f, 77));
  });

  it('if it adds a map in more extents than a map may have', () => {
    const map = { basin: 0, stratum: 0, firstIndex: 0, grains: 5000, page: 9 };
    const added = (count: number): LogOperation => {
      const further = Array.from({ length: count }, (_, at) => ({ page: 100 + at, pages: 1 }));
      return { operation: 'add-map', ...map, further };
    };
    const most = added(furtherExtentsMax);
    expect(decodeLogRecord(write(first, [most]), 0).operations).toEqual([most]);
    expectCorrupt(() => decodeLogRecord(write(first, [added(furtherExtentsMax + 1)]), 0));
    expectCorrupt(() => decodeLogRecord(write(first, [added(255)]), 0));
    const body = write(first, [most]);
    expectCorrupt(() => decodeLogRecord(body.subarray(0, body.length - 1), 0));
  });

  it('if it names a basin or stratum that no GrainId can', () => {
    expectCorrupt(decode(...head(), 0, basinsMax, 0));
    expectCorrupt(decode(...head(), 0, 0, strataMax));
    expectCorrupt(decode(...head(), 4, basinsMax));
    expectCorrupt(decode(...head(), 5, 0, strataMax, 5));
  });
});
