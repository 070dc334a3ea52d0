/**
 * The root document: comes back as it was written; any other bytes are a root or VARVE_CORRUPT.
 */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { openDocument, sealDocument } from '../../src/format/document.ts';
import { basinsMax, kindRoot, sealBytes } from '../../src/format/layout.ts';
import { decodeRoot, encodeRoot } from '../../src/format/root.ts';
import { setU32 } from '../../src/util/little-endian.ts';
import { expectCorrupt, expectSoundOrCorrupt, flipped, root, salt } from './arbitraries.ts';

describe('the root', () => {
  it('comes back as it was written, sealed, and a flipped bit anywhere is noticed', () => {
    fc.assert(
      fc.property(root, salt, fc.nat(), (written, ofFile, bit) => {
        const bytes = encodeRoot(written);
        const place = { kind: kindRoot, page: 30, capacityPages: 2, generation: 5, stamp: 9 };
        const name = sealDocument(bytes, place, ofFile);
        expect(openDocument(bytes, kindRoot, name, ofFile).stamp).toBe(9);
        expect(decodeRoot(bytes, 0)).toEqual(written);
        expectCorrupt(() => openDocument(flipped(bytes, bit), kindRoot, name, ofFile));
      }),
    );
  });

  it('is a root or VARVE_CORRUPT for any bytes, and for sound ones with a byte changed', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        expectSoundOrCorrupt(() => decodeRoot(bytes, 0));
      }),
    );
    fc.assert(
      fc.property(root, fc.nat(), fc.nat(40), (written, bit, cut) => {
        const bytes = encodeRoot(written);
        expectSoundOrCorrupt(() => decodeRoot(flipped(bytes, bit), 0));
        const short = bytes.subarray(0, Math.max(0, bytes.length - 1 - cut));
        expectCorrupt(() => decodeRoot(short, 0));
      }),
    );
  });

  it('names no more basins than a GrainId can, and a larger claim takes no memory', () => {
    const empty = { embeddedHeader: 0n, basins: [], segments: [], bodies: [] };
    const bytes = encodeRoot(empty);
    setU32(bytes, sealBytes, basinsMax + 1);
    expectCorrupt(() => decodeRoot(bytes, 0));
    for (const at of [0, 4, 8]) {
      const claimed = encodeRoot(empty);
      setU32(claimed, sealBytes + at, 0xffff_ffff);
      expectCorrupt(() => decodeRoot(claimed, 0));
    }
  });
});
