/**
 * Seals: what one lets through is byte for byte what its parent named, in its place, of its file.
 */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { kindBasin, kindMap, kindMarks, kindRoot, sealBytes } from '../../src/format/layout.ts';
import {
  kindName,
  openSealed,
  readSeal,
  type Seal,
  type SealName,
  sealBytesOf,
} from '../../src/format/seal.ts';
import { expectCorrupt, flipped, salt, u32, u48 } from './arbitraries.ts';

const kind = fc.constantFrom(kindRoot, kindBasin, kindMap, kindMarks);

/** Sealed bytes with room behind them, and the name that their parent has for them. */
const sealed = fc
  .record({
    body: fc.uint8Array({ maxLength: 300 }),
    behind: fc.nat(40),
    kind,
    generation: u32,
    stamp: u48,
    page: u48,
    salt,
  })
  .map(({ body, behind, salt: ofFile, ...rest }) => {
    const bytes = new Uint8Array(sealBytes + body.length + behind);
    bytes.set(body, sealBytes);
    const seal: Seal = { ...rest, length: sealBytes + body.length };
    const crc = sealBytesOf(bytes, seal, ofFile);
    const name: SealName = { kind: seal.kind, generation: seal.generation, crc, page: seal.page };
    return { bytes, seal, name, salt: ofFile };
  });

describe('a seal', () => {
  it('opens under its name and returns the sealed fields', () => {
    fc.assert(
      fc.property(sealed, ({ bytes, seal, name, salt: ofFile }) => {
        expect(openSealed(bytes, name, ofFile)).toEqual(seal);
        expect(readSeal(bytes, name, ofFile)).toEqual({ seal, crc: name.crc });
      }),
    );
  });

  it('detects every flipped bit of the bytes that it covers, and ignores those after it', () => {
    fc.assert(
      fc.property(sealed, fc.nat(), ({ bytes, seal, name, salt: ofFile }, bit) => {
        const covered = flipped(bytes.subarray(0, seal.length), bit);
        expectCorrupt(() => openSealed(covered, name, ofFile));
        expect(typeof readSeal(covered, name, ofFile)).toBe('string');
        const behind = bytes.slice();
        behind.fill(0xa5, seal.length);
        expect(openSealed(behind, name, ofFile)).toEqual(seal);
      }),
      { numRuns: 300 },
    );
  });

  it('is refused for another place, kind, generation, checksum or file', () => {
    fc.assert(
      fc.property(sealed, ({ bytes, name, salt: ofFile }) => {
        const otherFile = flipped(ofFile, 0);
        expectCorrupt(() => openSealed(bytes, { ...name, page: name.page + 1 }, ofFile));
        expectCorrupt(() => openSealed(bytes, { ...name, kind: name.kind + 1 }, ofFile));
        expectCorrupt(() =>
          openSealed(bytes, { ...name, generation: name.generation + 1 }, ofFile),
        );
        expectCorrupt(() => openSealed(bytes, { ...name, crc: name.crc + 1 }, ofFile));
        expectCorrupt(() => openSealed(bytes, name, otherFile));
      }),
    );
  });

  it('is refused in bytes that were not sealed', () => {
    const at = { kind: kindMap, page: 7 };
    const ofFile = new Uint8Array(8);
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        expect(typeof readSeal(bytes, at, ofFile)).toBe('string');
      }),
    );
  });

  it('describes in words what is wrong, and where', () => {
    const bytes = new Uint8Array(64);
    const ofFile = new Uint8Array(8).fill(1);
    const seal = { kind: kindMap, generation: 4, length: 64, stamp: 9, page: 5 };
    const crc = sealBytesOf(bytes, seal, ofFile);
    const read = (changed: Uint8Array, at = { kind: kindMap, page: 5 }): unknown =>
      readSeal(changed, at, ofFile);
    expect(read(bytes.subarray(0, 31))).toBe('is cut short');
    expect(read(bytes, { kind: kindRoot, page: 5 })).toBe('is not of its kind');
    expect(read(bytes, { kind: kindMap, page: 6 })).toBe('belongs to another place');
    expect(read(bytes.subarray(0, 63))).toBe('has an impossible length');
    expect(readSeal(bytes, { kind: kindMap, page: 5 }, new Uint8Array(8))).toBe(
      'belongs to another file',
    );
    expect(read(flipped(bytes, 8 * 63))).toBe('fails its checksum');
    const other: SealName = { kind: kindMap, generation: 3, crc, page: 5 };
    expect(() => openSealed(bytes, other, ofFile)).toThrow(
      expect.objectContaining({ code: 'VARVE_CORRUPT', offset: 5 * 4096 }),
    );
  });

  it('covers at least its own bytes and at most the length of the buffer', () => {
    const seal = { kind: kindMap, generation: 1, stamp: 0, page: 0 };
    const act = (length: number) => () =>
      sealBytesOf(new Uint8Array(40), { ...seal, length }, new Uint8Array(8));
    for (const length of [31, 41]) {
      expect(act(length)).toThrow(expect.objectContaining({ code: 'VARVE_INTERNAL' }));
    }
  });

  it('has a kind that reads as letters in messages', () => {
    expect([kindRoot, kindBasin, kindMap, kindMarks].map(kindName)).toEqual(
      ['root', 'basn', 'map', 'mark'].map((letters) => `the structure '${letters}'`),
    );
  });
});
