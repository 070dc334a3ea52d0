/**
 * A few random programs on forests in every way that `npm run simulate:forest` runs them in: by
 * themselves, beside power cuts, with calls that fail; and one program with each of its calls
 * failing in turn.
 */

import { describe, expect, it } from 'vitest';
import { runProgram } from './aftermath.ts';
import { faultAt, noCounts, runPlan, runSeed, usual } from './campaign.ts';
import { everyCall } from './every-call.ts';
import { faultKinds } from './plan.ts';

/** Seeds of programs that are run in every way. */
const seeds = Array.from({ length: 12 }, (_, at) => 4000 + at);

describe('random programs on a forest', () => {
  it.each(seeds)('keep every rule: program %i, with cuts and faults beside it', async (seed) => {
    const counts = noCounts();
    expect(await runSeed(seed, usual, counts)).toBe(undefined);
    expect(counts.comparisons).toBeGreaterThan(3);
  });
});

describe('a program with one call failing', () => {
  it.each(faultKinds)('keeps every rule, whichever call of a %s it is', async (kind) => {
    const report = await runProgram(everyCall);
    const first = report.callsBefore[0]?.[kind] ?? 0;
    const calls = report.calls[kind] - first;
    expect(calls).toBeGreaterThan(0);
    const stride = Math.ceil(calls / 40);
    for (let call = first; call < first + calls; call += stride) {
      const plan = faultAt(everyCall, report, { kind, call });
      expect(await runPlan(plan, 1, noCounts())).toBe(undefined);
    }
  });
});
