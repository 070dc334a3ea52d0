/**
 * The file header: comes back as it was written, and one copy is always told to be one of valid,
 * blank, damaged, unsupported, foreign.
 */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  decodeFileHeader,
  encodeFileHeader,
  type FileHeader,
} from '../../src/format/file-header.ts';
import {
  formatVersion,
  headerCrcOffset,
  headerSegmentsMax,
  headerSegmentsOffset,
  magic,
  sectorBytes,
} from '../../src/format/layout.ts';
import { crc32 } from '../../src/util/crc.ts';
import { setU16, setU32 } from '../../src/util/little-endian.ts';
import { expectCorrupt, expectSoundOrCorrupt, fileHeader, flipped } from './arbitraries.ts';

function stateOf(sector: Uint8Array): string {
  return decodeFileHeader(sector, 0).state;
}

/** The sector with its checksum made right again. */
function resealed(sector: Uint8Array): Uint8Array {
  setU32(sector, headerCrcOffset, crc32(sector.subarray(0, headerCrcOffset)));
  return sector;
}

function oneHeader(): FileHeader {
  return fc.sample(fileHeader, { numRuns: 1, seed: 7 })[0] as FileHeader;
}

describe('a file header', () => {
  it('comes back as it was written, in one sector', () => {
    fc.assert(
      fc.property(fileHeader, (header) => {
        const sector = encodeFileHeader(header);
        expect(sector.length).toBe(sectorBytes);
        expect(decodeFileHeader(sector, 0)).toEqual({ state: 'valid', header });
      }),
    );
  });

  it('is never valid with a bit flipped: damaged, or foreign if the magic is hit', () => {
    fc.assert(
      fc.property(fileHeader, fc.nat(), (header, bit) => {
        const state = stateOf(flipped(encodeFileHeader(header), bit));
        const inMagic = (bit >>> 3) % sectorBytes < magic.length;
        expect(state).toBe(inMagic ? 'foreign' : 'damaged');
      }),
      { numRuns: 500 },
    );
  });

  it('is blank if there are only zeros, of any length', () => {
    for (const length of [0, 1, 100, sectorBytes]) {
      expect(stateOf(new Uint8Array(length))).toBe('blank');
    }
  });

  it('is damaged if the file ends within it', () => {
    const sector = encodeFileHeader(oneHeader());
    for (const length of [magic.length, 100, sectorBytes - 1]) {
      expect(stateOf(sector.subarray(0, length))).toBe('damaged');
    }
    for (let length = 1; length < magic.length; length++) {
      expect(stateOf(sector.subarray(0, length))).toBe('foreign');
    }
  });

  it('of another version, or with a flag that is not known, is unsupported, not damaged', () => {
    const version = encodeFileHeader(oneHeader());
    setU32(version, 8, formatVersion + 1);
    expect(decodeFileHeader(resealed(version), 0)).toEqual({
      state: 'unsupported',
      version: formatVersion + 1,
      flags: 0,
    });
    const flags = encodeFileHeader(oneHeader());
    setU32(flags, 12, 0x8000_0000);
    expect(decodeFileHeader(resealed(flags), 0)).toMatchObject({
      state: 'unsupported',
      version: formatVersion,
    });
  });

  it('of another version is unsupported whatever else is in it', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: sectorBytes, maxLength: sectorBytes }),
        fc.integer({ min: formatVersion + 1, max: 0xffff_ffff }),
        (bytes, version) => {
          bytes.set(magic);
          setU32(bytes, 8, version);
          expect(stateOf(resealed(bytes))).toBe('unsupported');
        },
      ),
    );
  });

  it('lists at least one segment and at most as many as there is room for', () => {
    for (const count of [0, headerSegmentsMax + 1, 0xffff]) {
      const sector = encodeFileHeader(oneHeader());
      setU16(sector, headerSegmentsOffset - 2, count);
      expectCorrupt(() => decodeFileHeader(resealed(sector), 0));
    }
    const segments = Array.from({ length: headerSegmentsMax + 1 }, () => ({ page: 1, pages: 2 }));
    expect(() => encodeFileHeader({ ...oneHeader(), segments })).toThrow(
      expect.objectContaining({ code: 'VARVE_INTERNAL' }),
    );
  });

  it('leaves the rest of its sector zero, and is refused if it is not', () => {
    const sector = encodeFileHeader({ ...oneHeader(), segments: [{ page: 1, pages: 2 }] });
    sector[headerCrcOffset - 1] = 1;
    expectCorrupt(() => decodeFileHeader(resealed(sector), 0));
  });

  it('has a state or is VARVE_CORRUPT for any bytes, sealed ones too', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: sectorBytes + 20 }), (bytes) => {
        expectSoundOrCorrupt(() => decodeFileHeader(bytes, 0));
      }),
    );
    fc.assert(
      fc.property(fc.uint8Array({ minLength: sectorBytes, maxLength: sectorBytes }), (bytes) => {
        bytes.set(magic);
        setU32(bytes, 8, formatVersion);
        setU32(bytes, 12, 0);
        expectSoundOrCorrupt(() => decodeFileHeader(resealed(bytes), 0));
      }),
    );
  });

  it('keeps a copy of the salt, and later changes of the sector do not reach it', () => {
    const header = oneHeader();
    const sector = encodeFileHeader(header);
    const found = decodeFileHeader(sector, 0);
    sector.fill(0);
    expect(found).toEqual({ state: 'valid', header });
  });
});
