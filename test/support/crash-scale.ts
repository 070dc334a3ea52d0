/**
 * How much the crash tests try, and a clock that ticks with every look at it, so that the log tells
 * one attempt at a batch from another.
 *
 * VARVE_CRASH_SCALE: 1 unless told; a longer campaign has a larger one. Nothing depends on the real
 * time.
 */

import { afterAll, beforeAll, type VitestUtils } from 'vitest';
import { Random } from './random.ts';

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

/**
 * Steps of long work seem to take their time: the event loop gets turns between them, in some places
 * chosen by the seed.
 */
export function takingTurns(vi: VitestUtils, seed = 1): void {
  beforeAll(() => {
    vi.spyOn(performance, 'now').mockImplementation(slowClock(new Random(seed)));
  });
}

/** A clock by which a look at it takes a while, and sometimes so long that a turn is due. */
function slowClock(random: Random): () => number {
  let now = 0;
  return () => {
    now += random.chance(0.2) ? 6 : 0.6;
    return now;
  };
}
