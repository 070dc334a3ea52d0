/**
 * Compactions in a program: beside everything else, or when all has settled.
 *
 * Invariant: the same random numbers give the same steps. A program without compactions stays as it
 * was, since these numbers are their own.
 */

import { Random } from '../support/random.ts';
import type { Plan, Step } from './model/plan.ts';

/** Shares of all values that count as thin. */
const shares = [0, 0.1, 0.5, 1];

/** The program of this seed has compactions. */
export function compacts(seed: number): boolean {
  return new Random(seed + 11).chance(0.3);
}

export function withCompactions(seed: number, { settings, steps }: Plan): Plan {
  const random = new Random(seed + 12);
  const all = [...steps];
  for (let left = 1 + random.below(4); left > 0; left--) {
    const compact: Step = {
      do: 'compact',
      ...(random.chance(0.85) ? { thin: shares[random.below(shares.length)] as number } : {}),
      ...(random.chance(0.3) ? { keeps: true } : {}),
      ...(random.chance(0.15) ? { abort: random.below(6) } : {}),
      ...(random.chance(0.5) ? { turns: random.below(12) } : {}),
    };
    const before: Step[] = random.chance(0.2) ? [{ do: 'settle' }] : [];
    all.splice(random.below(all.length + 1), 0, ...before, compact);
  }
  return { settings, steps: all };
}
