/**
 * A few random programs on forests in every way that `npm run simulate:forest` runs them in: by
 * themselves, beside power cuts, with calls that fail; and one program with each of its calls
 * failing in turn. Together the random ones reach everything that is counted.
 */

import { describe, expect, it } from 'vitest';
import { runProgram } from './aftermath.ts';
import { type CampaignCounts, faultAt, noCounts, runPlan, runSeed, usual } from './campaign.ts';
import { everyCall } from './every-call.ts';
import { faultKinds } from './model/plan.ts';
import { addCounts, notReached } from './world/reached.ts';

/** Seeds of programs that are run in every way, chosen so that together they reach everything. */
const seeds = [
  5070, 4020, 4042, 4088, 4147, 4166, 4176, 4183, 4188, 4219, 4221, 4224, 4228, 4248,
] as const;
/** If a change of the generator makes other programs of those, so many others may be needed. */
const othersMax = 400;

const runs = new Map<number, Promise<CampaignCounts>>();

/** Runs the program of a seed, once. */
function runOf(seed: number): Promise<CampaignCounts> {
  const run = async (): Promise<CampaignCounts> => {
    const counts = noCounts();
    expect(await runSeed(seed, usual, counts)).toBe(undefined);
    return counts;
  };
  const known = runs.get(seed) ?? run();
  runs.set(seed, known);
  return known;
}

describe('random programs on a forest', () => {
  it.each(seeds)('keep every rule: program %i, with cuts and faults beside it', async (seed) => {
    const { comparisons } = await runOf(seed);
    expect(comparisons).toBeGreaterThan(3);
  });

  it('reach every step, operation, fault and circumstance that is counted', async () => {
    const { reached } = noCounts();
    const others = Array.from({ length: othersMax }, (_, at) => 5000 + at);
    for (const seed of [...seeds, ...others]) {
      if (notReached(reached).length === 0) break;
      addCounts(reached, (await runOf(seed)).reached);
    }
    expect(notReached(reached)).toEqual([]);
    // Only ends what hangs.
  }, 600_000);
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
