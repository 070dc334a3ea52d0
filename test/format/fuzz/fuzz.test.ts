/**
 * Every decoder against any bytes: random ones, sound ones that were changed, cut or extended, and
 * such whose checksum was made right again, so that what is behind it is reached.
 *
 * A decoder gives a structure or throws a VarveError of the right kind; what it takes of memory and
 * what it gives back is bounded by the bytes that it was given, whatever a length field claims.
 * Values and their ids are in fuzz-values.test.ts, whole stores in fuzz-stores.test.ts.
 */

import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { VarveError } from '../../../src/errors.ts';
import { decodeBasin, encodeBasin } from '../../../src/format/basin.ts';
import { openDocument, sealDocument } from '../../../src/format/document.ts';
import { decodeFileHeader, encodeFileHeader } from '../../../src/format/file-header.ts';
import {
  decodeMapHead,
  encodeMapHead,
  encodeMarkPage,
  openMarkPage,
} from '../../../src/format/grain-map.ts';
import {
  grainsPerMarkPage,
  headerCrcOffset,
  kindRoot,
  logPayloadBytes,
  marksBytes,
  pageBytes,
  recordHeadBytes,
  sealBytes,
  sectorBytes,
  sectorsPerPage,
} from '../../../src/format/layout.ts';
import { decodeLogRecord } from '../../../src/format/log-record.ts';
import {
  decodeLogSector,
  decodeRecordHead,
  encodeRecordSectors,
} from '../../../src/format/log-sector.ts';
import { decodeRoot, encodeRoot } from '../../../src/format/root.ts';
import { FileReader } from '../../../src/store/file/file-reader.ts';
import { readBody, SectorReader } from '../../../src/store/log/record-reader.ts';
import { MarkPage, unwrittenPage } from '../../../src/store/marks/mark-page.ts';
import { crc32 } from '../../../src/util/crc.ts';
import { getU32, setU32 } from '../../../src/util/little-endian.ts';
import { AllocationMeter } from '../../support/allocation-meter.ts';
import { crashScale } from '../../support/crash-scale.ts';
import { GivenFile } from '../../support/disks/given-file.ts';
import { basin, fileHeader, mapHead, operations, preamble, root } from '../arbitraries.ts';
import { recordBody } from '../record-bodies.ts';
import { anyMutation } from './mutations.ts';

const runs = 1500 * crashScale;
/** Ends only what hangs. */
const patience = { timeout: 120_000 * crashScale };
const codes = ['VARVE_CORRUPT', 'VARVE_NOT_A_STORE', 'VARVE_UNSUPPORTED_VERSION'];
const salt = Uint8Array.of(0xa1, 0xb2, 0xc3, 0xd4, 5, 6, 7, 8);
const generation = 3;
const page = 7;

interface Decoder {
  /** Bytes that it takes. */
  readonly sound: fc.Arbitrary<Uint8Array>;
  /** Random bytes are as many as it is ever given. */
  readonly bytesMax: number;
  /** Memory that it may take at once whatever it is given. */
  readonly fixedBytes?: number;
  /** How many copies of what it is given it may make. */
  readonly copies?: number;
  decode(bytes: Uint8Array): unknown;
  /** Makes the checksums right, in place. */
  reseal?(bytes: Uint8Array): void;
}

const meter = new AllocationMeter();
let decoded = 0;
let refused = 0;

afterAll(() => {
  console.log(`decoders fuzzed: ${decoded} times a structure, ${refused} times a VarveError`);
});

function check(decoder: Decoder, bytes: Uint8Array): void {
  const before = bytes.slice();
  meter.start();
  try {
    const size = leaves(decoder.decode(bytes));
    expect(size).toBeLessThanOrEqual(16 * bytes.length + 64);
    decoded += 1;
  } catch (error) {
    meter.stop();
    if (!(error instanceof VarveError)) throw error;
    expect(codes).toContain(error.code);
    refused += 1;
  } finally {
    meter.stop();
  }
  const { fixedBytes = 0, copies = 1 } = decoder;
  expect(meter.largest).toBeLessThanOrEqual(Math.max(bytes.length, fixedBytes));
  expect(meter.total).toBeLessThanOrEqual(copies * bytes.length + 3 * fixedBytes);
  expect(Buffer.compare(bytes, before)).toBe(0);
}

/** Numbers, words and bytes in a structure. */
function leaves(value: unknown): number {
  if (value instanceof Uint8Array) return value.length;
  if (typeof value !== 'object' || value === null) return 1;
  let count = 0;
  for (const part of Object.values(value)) count += leaves(part);
  return count;
}

// ── seals ──

const sealFrom = 8;
const sealLengthOffset = 12;

/** Where the length in it is possible, the seal is made right. */
function resealed(bytes: Uint8Array): void {
  if (bytes.length < sealBytes) return;
  const length = getU32(bytes, sealLengthOffset);
  if (length > bytes.length) return;
  setU32(bytes, 4, crc32(bytes.subarray(sealFrom, length)));
}

/** What the parent would say of the bytes, so that only what is behind the seal can be wrong. */
function nameOf(bytes: Uint8Array): { page: number; generation: number; crc: number } {
  const known = bytes.length >= sealBytes;
  return {
    page,
    generation: known ? getU32(bytes, sealFrom) : 1,
    crc: known ? getU32(bytes, 4) : 0,
  };
}

const place = { page, generation, stamp: 9 };

const documents: fc.Arbitrary<Uint8Array> = root.map((content) => {
  const bytes = encodeRoot(content);
  sealDocument(bytes, { ...documentPlace, kind: kindRoot, generation, stamp: 9 }, salt);
  return bytes;
});

/** Of the slot that the generation of a sound one is in. */
const documentPlace = { page: page - (generation % 2), capacityPages: 1 };

const mapHeads = mapHead.map((head) => encodeMapHead(head, place, salt).bytes);

const owner = { basin: 0, stratum: 0, firstIndex: 0, grains: grainsPerMarkPage, grainExp: 5 };

/** Values one after another, archived ones among them, in free space. */
const markPages: fc.Arbitrary<Uint8Array> = fc
  .array(fc.constantFrom(0x00, 0x02, 0x56, 0x5a, 0xc2, 0xeb, 0x7b), { maxLength: marksBytes })
  .map((marks) => {
    const bytes = new Uint8Array(marksBytes);
    bytes.set(marks);
    return encodeMarkPage({ owner, ordinal: 0, marks: bytes }, place, salt).bytes;
  });

// ── the log ──

const bodies = fc.tuple(preamble, operations).map(([before, list]) => recordBody(before, list));
const firstSector = 0;

/** Records one after another, and behind them the body of the last where it has its own place. */
const logs: fc.Arbitrary<Uint8Array> = fc
  .tuple(fc.array(bodies, { minLength: 1, maxLength: 3 }), bodies)
  .map(([inline, outside]) => {
    const parts: Uint8Array[] = [];
    let sector = firstSector;
    const add = (body: Uint8Array, extent: { page: number; pages: number } | undefined): void => {
      const whole = { epoch: 2, batch: 5 + parts.length, sector };
      const sectors = encodeRecordSectors(body, whole, extent, salt);
      parts.push(sectors);
      sector += sectors.length / sectorBytes;
    };
    for (const body of inline) add(body, undefined);
    const bodyPage = Math.ceil((sector + 1) / sectorsPerPage);
    add(outside, { page: bodyPage, pages: Math.ceil(outside.length / pageBytes) });
    const bytes = new Uint8Array(bodyPage * pageBytes + outside.length);
    bytes.set(Buffer.concat(parts));
    bytes.set(outside, bodyPage * pageBytes);
    return bytes;
  });

/** Makes the sectors right, each with what is in it now. */
function resealSectors(bytes: Uint8Array): void {
  for (let at = 0; at + sectorBytes <= bytes.length; at += sectorBytes) {
    const sector = bytes.subarray(at, at + sectorBytes);
    if (getU32(sector, 0) !== 0) setU32(sector, 0, crc32(sector.subarray(4)));
  }
}

/** As opening does: looks at every sector, in a lane that ends far behind the file. */
function readRecords(bytes: Uint8Array): unknown[] {
  const reader = new FileReader(new GivenFile(bytes), 'image');
  reader.salt = salt;
  const sectors = new SectorReader(reader);
  const read: unknown[] = [];
  for (let sector = 0; sector * sectorBytes < bytes.length; sector++) {
    const found = sectors.look(sector, 2 ** 40);
    if (typeof found === 'string' || found.head === undefined) continue;
    const body = readBody(reader, found);
    read.push(typeof body === 'string' ? body : decodeLogRecord(body, undefined).batch);
  }
  return read;
}

const decoders: Readonly<Record<string, Decoder>> = {
  'a file header': {
    sound: fileHeader.map(encodeFileHeader),
    bytesMax: sectorBytes,
    decode: (bytes) => decodeFileHeader(bytes, 0),
    reseal(bytes) {
      if (bytes.length < sectorBytes) return;
      setU32(bytes, headerCrcOffset, crc32(bytes.subarray(0, headerCrcOffset)));
    },
  },
  'a root': { sound: root.map(encodeRoot), bytesMax: 600, decode: (bytes) => decodeRoot(bytes, 0) },
  'a basin': {
    sound: basin.map(encodeBasin),
    bytesMax: 600,
    decode: (bytes) => decodeBasin(bytes, 0),
  },
  'a sealed document': {
    sound: documents,
    bytesMax: 600,
    decode(bytes) {
      const name = { ...nameOf(bytes), ...documentPlace, length: bytes.length };
      openDocument(bytes, kindRoot, name, salt);
      return decodeRoot(bytes, 0);
    },
    reseal: resealed,
  },
  'the head of a grain map': {
    sound: mapHeads,
    bytesMax: pageBytes,
    decode: (bytes) => decodeMapHead(bytes, nameOf(bytes), salt),
    reseal: resealed,
  },
  'a mark page': {
    sound: markPages,
    bytesMax: pageBytes,
    fixedBytes: pageBytes,
    decode(bytes) {
      const found = openMarkPage(bytes, nameOf(bytes), salt);
      const marks = new MarkPage({ ordinal: 0, firstIndex: 0, grains: 9000 }, unwrittenPage);
      marks.load(found.marks, found.stamp);
      marks.check(0);
      let grains = 0;
      for (let at = 0; at < marks.grains; at++) grains += marks.countAt(at);
      return [grains, marks.measure()];
    },
    reseal: resealed,
  },
  'a sector of the log': {
    sound: bodies.map((body) => {
      const sectors = encodeRecordSectors(body, { epoch: 2, batch: 5, sector: 9 }, undefined, salt);
      return sectors.slice(0, sectorBytes);
    }),
    bytesMax: sectorBytes,
    decode(bytes) {
      const sector = decodeLogSector(bytes, 9, salt);
      return typeof sector === 'string' ? sector : [sector, decodeRecordHead(sector.payload)];
    },
    reseal: resealSectors,
  },
  'the head of a record': {
    sound: bodies.map((body) => {
      const sectors = encodeRecordSectors(body, { epoch: 2, batch: 5, sector: 9 }, undefined, salt);
      return sectors.slice(sectorBytes - logPayloadBytes, sectorBytes);
    }),
    bytesMax: recordHeadBytes,
    decode: decodeRecordHead,
  },
  'the body of a record': {
    sound: bodies,
    bytesMax: 600,
    decode: (bytes) => decodeLogRecord(bytes, 0),
  },
  'the reader of records': {
    sound: logs,
    bytesMax: 4 * sectorBytes,
    // Sectors are read ahead, and a body is gathered from its sectors.
    fixedBytes: 64 * sectorBytes,
    copies: 16,
    decode: readRecords,
    reseal: resealSectors,
  },
};

describe.each(Object.entries(decoders))('%s', (_, decoder) => {
  const { bytesMax, sound, reseal } = decoder;

  it('is a structure, or an error of the right kind, for any bytes', patience, () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: bytesMax, size: 'max' }), (bytes) => {
        check(decoder, bytes);
        const copy = bytes.slice();
        reseal?.(copy);
        check(decoder, copy);
      }),
      { numRuns: runs / 5 },
    );
  });

  it(
    'is a structure or an error for sound bytes that were changed, cut or extended',
    patience,
    () => {
      fc.assert(
        fc.property(sound, anyMutation, (bytes, mutate) => check(decoder, mutate(bytes))),
        { numRuns: runs },
      );
    },
  );

  it(
    'is a structure or an error for changed bytes whose checksums were made right again',
    patience,
    () => {
      fc.assert(
        fc.property(sound, anyMutation, (bytes, mutate) => {
          const changed = mutate(bytes);
          reseal?.(changed);
          check(decoder, changed);
        }),
        { numRuns: runs },
      );
    },
  );
});
