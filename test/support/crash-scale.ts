/**
 * How much the crash tests try, and a clock that ticks with every look at it, so that the log tells
 * one attempt at a batch from another.
 *
 * VARVE_CRASH_SCALE: 1 unless told; a longer campaign has a larger one. Nothing depends on the real
 * time.
 */

import { afterAll, beforeAll, type VitestUtils } from 'vitest';

export const crashScale = Math.max(1, Number(process.env['VARVE_CRASH_SCALE'] ?? 1));

const firstTick = 1_000_000_000_000;

/** Date.now ticks while the tests of this file run. */
export function ticking(vi: VitestUtils): void {
  let tick = firstTick;
  beforeAll(() => {
    vi.spyOn(Date, 'now').mockImplementation(() => {
      tick += 1;
      return tick;
    });
  });
  afterAll(() => {
    vi.restoreAllMocks();
  });
}
