/**
 * Log sectors: a record laid over sectors comes back; a sector is whole, blank or rotten, and
 * another place, file or bit makes it rotten.
 */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { logPayloadBytes, recordHeadBytes, sectorBytes } from '../../src/format/layout.ts';
import {
  decodeLogSector,
  decodeRecordHead,
  encodeRecordSectors,
  inlineSectors,
  type LogSector,
} from '../../src/format/log-sector.ts';
import { crc32 } from '../../src/util/crc.ts';
import { setU16, setU32 } from '../../src/util/little-endian.ts';
import { flipped, salt, u32, u48, upTo } from './arbitraries.ts';

const place = fc.record({ epoch: u32, batch: u48, sector: upTo(2 ** 40) });
const body = fc.uint8Array({ maxLength: 3000 });
const noSalt = new Uint8Array(8);
const atHome = { epoch: 2, batch: 9, sector: 100 };

function whole(bytes: Uint8Array, sector: number, ofFile: Uint8Array): LogSector {
  const found = decodeLogSector(bytes, sector, ofFile);
  expect(typeof found).toBe('object');
  return found as LogSector;
}

function sectorsOf(bytes: Uint8Array): Uint8Array[] {
  return Array.from({ length: bytes.length / sectorBytes }, (_, at) =>
    bytes.subarray(at * sectorBytes, (at + 1) * sectorBytes),
  );
}

describe('the sectors of a record', () => {
  it('are whole, of its batch and epoch, numbered, and hold its body', () => {
    fc.assert(
      fc.property(body, place, salt, (written, where, ofFile) => {
        const bytes = encodeRecordSectors(written, where, undefined, ofFile);
        expect(bytes.length).toBe(inlineSectors(written.length) * sectorBytes);
        const payloads = sectorsOf(bytes).map((sector, ordinal) => {
          const found = whole(sector, where.sector + ordinal, ofFile);
          const { epoch, batch } = where;
          expect(found).toMatchObject({ epoch, batch, ordinal });
          return found.payload;
        });
        const payload = Buffer.concat(payloads);
        const head = decodeRecordHead(payload.subarray(0, logPayloadBytes));
        expect(head).toEqual({
          bodyBytes: written.length,
          bodyCrc: crc32(written),
          sectors: payloads.length,
          extent: undefined,
        });
        expect(Buffer.compare(payload.subarray(recordHeadBytes), written)).toBe(0);
      }),
    );
  });

  it('are one, with the place of the body, if the body is outside', () => {
    const extent = fc.record({ page: u48, pages: u32 });
    fc.assert(
      fc.property(body, place, extent, salt, (written, where, outside, ofFile) => {
        const bytes = encodeRecordSectors(written, where, outside, ofFile);
        expect(bytes.length).toBe(sectorBytes);
        const found = whole(bytes, where.sector, ofFile);
        expect(decodeRecordHead(found.payload)).toEqual({
          bodyBytes: written.length,
          bodyCrc: crc32(written),
          sectors: 1,
          extent: outside,
        });
      }),
    );
  });

  it('are as few as the body needs', () => {
    const first = logPayloadBytes - recordHeadBytes;
    for (const [bytes, sectors] of [
      [0, 1],
      [first, 1],
      [first + 1, 2],
      [first + logPayloadBytes, 2],
      [first + logPayloadBytes + 1, 3],
    ] as const) {
      expect(inlineSectors(bytes)).toBe(sectors);
    }
  });
});

describe('a sector', () => {
  it('of zeros is blank, also if its memory is not aligned', () => {
    for (const offset of [0, 1, 2, 4]) {
      const bytes = new Uint8Array(new ArrayBuffer(sectorBytes + 8), offset, sectorBytes);
      expect(decodeLogSector(bytes, 5, noSalt)).toBe('blank');
    }
  });

  it('with any bit flipped is rotten', () => {
    fc.assert(
      fc.property(body, place, salt, fc.nat(), (written, where, ofFile, bit) => {
        const bytes = encodeRecordSectors(written, where, undefined, ofFile);
        const sector = bytes.subarray(0, sectorBytes);
        expect(decodeLogSector(flipped(sector, bit), where.sector, ofFile)).toBe('rotten');
      }),
      { numRuns: 300 },
    );
  });

  it('in another place, or of a file with another salt in any byte, is rotten', () => {
    fc.assert(
      fc.property(place, salt, fc.nat(63), (where, ofFile, bit) => {
        const bytes = encodeRecordSectors(new Uint8Array(9), where, undefined, ofFile);
        expect(decodeLogSector(bytes, where.sector + 1, ofFile)).toBe('rotten');
        expect(decodeLogSector(bytes, where.sector, flipped(ofFile, bit))).toBe('rotten');
      }),
    );
  });

  it('is never whole for arbitrary bytes', () => {
    const bytes = fc.uint8Array({ minLength: sectorBytes, maxLength: sectorBytes });
    fc.assert(
      fc.property(bytes, (any) => {
        expect(['blank', 'rotten']).toContain(decodeLogSector(any, 5, noSalt));
      }),
    );
  });

  it('that only begins with zeros is not blank', () => {
    for (const offset of [0, 1, 2, 4]) {
      for (const at of [4, sectorBytes / 2 + 1, sectorBytes - 1]) {
        const bytes = new Uint8Array(new ArrayBuffer(sectorBytes + 8), offset, sectorBytes);
        bytes[at] = 0x80;
        expect(decodeLogSector(bytes, 5, noSalt)).toBe('rotten');
      }
    }
  });

  it('that claims more payload than it has is rotten under a sound checksum too', () => {
    const bytes = encodeRecordSectors(new Uint8Array(9), atHome, undefined, noSalt);
    setU16(bytes, 30, logPayloadBytes + 1);
    setU32(bytes, 0, crc32(bytes.subarray(4)));
    expect(decodeLogSector(bytes, atHome.sector, noSalt)).toBe('rotten');
  });
});

describe('the head of a record', () => {
  const payloadOf = (bodyBytes: number): Uint8Array =>
    whole(
      encodeRecordSectors(new Uint8Array(bodyBytes), atHome, undefined, noSalt).subarray(
        0,
        sectorBytes,
      ),
      atHome.sector,
      noSalt,
    ).payload.slice();

  it('is invalid if the payload is too short for one', () => {
    const payload = payloadOf(0);
    expect(payload.length).toBe(recordHeadBytes);
    for (let length = 0; length < recordHeadBytes; length++) {
      expect(decodeRecordHead(payload.subarray(0, length))).toBe(undefined);
    }
  });

  it('is invalid if its sectors are not those that its body needs', () => {
    const payload = payloadOf(2000);
    for (const sectors of [0, 1, 4, 6, 0xffff]) {
      setU16(payload, 8, sectors);
      expect(decodeRecordHead(payload)).toBe(undefined);
    }
    setU16(payload, 8, 5);
    expect(decodeRecordHead(payload)?.sectors).toBe(5);
  });

  it('is invalid if a body outside would take more than the sector of the head', () => {
    const payload = payloadOf(2000);
    payload[10] = 1;
    expect(decodeRecordHead(payload)).toBe(undefined);
    setU16(payload, 8, 1);
    expect(decodeRecordHead(payload)?.extent).toEqual({ page: 0, pages: 0 });
  });

  it('is invalid, or has the right number of sectors, for any bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
        const head = decodeRecordHead(bytes);
        if (head === undefined) return;
        const needed = head.extent === undefined ? inlineSectors(head.bodyBytes) : 1;
        expect(head.sectors).toBe(needed);
      }),
    );
  });
});
