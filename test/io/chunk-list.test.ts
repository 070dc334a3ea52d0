/**
 * Dividing chunks between write calls: the limits of one call, and that the parts put together are
 * the whole, whatever each call takes.
 */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  callBytesMax,
  callChunksMax,
  chunksOfOneCall,
  withoutFront,
} from '../../src/io/chunk-list.ts';
import { patternOf } from '../support/bytes.ts';

describe('chunksOfOneCall', () => {
  it('returns the list itself if one call takes it', () => {
    const chunks = Array.from({ length: callChunksMax }, () => patternOf(3));
    expect(chunksOfOneCall(chunks)).toBe(chunks);
  });

  it('takes no more chunks than a call may have', () => {
    const chunks = Array.from({ length: callChunksMax + 1 }, () => patternOf(3));
    expect(chunksOfOneCall(chunks)).toEqual(chunks.slice(0, callChunksMax));
  });

  it('takes no more bytes than a call may have, and the last chunk in part', () => {
    // Memory that is never touched.
    const large = new Uint8Array(callBytesMax - 5);
    const call = chunksOfOneCall([large, patternOf(10), patternOf(1)]);
    expect(call).toHaveLength(2);
    expect(call[0]).toBe(large);
    expect(call[1]).toEqual(patternOf(10).subarray(0, 5));
  });

  it('takes part of a single chunk that is too large', () => {
    const large = new Uint8Array(callBytesMax + 1);
    expect(chunksOfOneCall([large]).map(({ length }) => length)).toEqual([callBytesMax]);
  });
});

describe('withoutFront', () => {
  it('returns the list itself if nothing was taken', () => {
    const chunks = [patternOf(3)];
    expect(withoutFront(chunks, 0)).toBe(chunks);
  });

  it('leaves out empty chunks at the front, so the rest begins with bytes to write', () => {
    expect(withoutFront([patternOf(0), patternOf(2)], 0)).toEqual([patternOf(2)]);
    expect(withoutFront([patternOf(0), patternOf(0)], 0)).toEqual([]);
    expect(withoutFront([], 0)).toEqual([]);
  });

  it('leaves exactly the bytes after those taken', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(9), { maxLength: 12 }), fc.nat(), (lengths, seed) => {
        const chunks = lengths.map((length, index) => patternOf(length, index));
        const whole = Buffer.concat(chunks);
        const taken = whole.length === 0 ? 0 : seed % (whole.length + 1);
        expect(Buffer.concat(withoutFront(chunks, taken))).toEqual(whole.subarray(taken));
      }),
    );
  });
});
