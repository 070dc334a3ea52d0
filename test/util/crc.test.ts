/**
 * CRC-32: both implementations are that of zlib, for every short length, whole and in pieces.
 */

import { crc32 as zlibCrc32 } from 'node:zlib';
import fc from 'fast-check';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { crc32 } from '../../src/util/crc.ts';
import { patternOf } from '../support/bytes.ts';

const { getBuiltinModule } = process;

afterEach(() => {
  process.getBuiltinModule = getBuiltinModule;
  vi.resetModules();
});

/** The checksum as it is where the platform has no zlib, as in a browser. */
async function crcOfTable(): Promise<typeof crc32> {
  vi.resetModules();
  process.getBuiltinModule = (() => undefined) as unknown as typeof getBuiltinModule;
  return (await import('../../src/util/crc.ts')).crc32;
}

function expectLikeZlib(sum: typeof crc32): void {
  const bytes = patternOf(2000, 3);
  for (let length = 0; length <= bytes.length; length++) {
    const part = bytes.subarray(0, length);
    if (sum(part) !== zlibCrc32(part)) expect(`${length} bytes`).toBe('like zlib');
  }
}

describe('crc32', () => {
  it('has the value that the standard gives for its test string', () => {
    expect(crc32(Buffer.from('123456789'))).toBe(0xcbf4_3926);
  });

  it('is that of zlib for every length from 0 to 2000', () => {
    expectLikeZlib(crc32);
  });

  it('is that of zlib if the platform has no built-in', async () => {
    expectLikeZlib(await crcOfTable());
  });

  it('is the same in one piece and in any pieces, by either implementation', async () => {
    const implementations = [crc32, await crcOfTable()];
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 1200 }), { maxLength: 8 }), (pieces) => {
        const whole = zlibCrc32(Buffer.concat(pieces));
        for (const sum of implementations) {
          let crc = 0;
          for (const piece of pieces) crc = sum(piece, crc);
          expect(crc).toBe(whole);
        }
      }),
    );
  });
});
