/**
 * The simulation itself: the same seed is the same life, any part of a plan can be run, a plan that
 * fails is made short, and a disk or an engine that breaks its word is found.
 */

import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { SimulatedDisk } from '../support/disks/simulated-disk.ts';
import { Random } from '../support/random.ts';
import { cutsBeside, type FailedLife, runLife, runPlan, tick } from './lives.ts';
import { shrink } from './shrink.ts';
import { noCounts, type SimulationCounts } from './simulation.ts';
import { planOf, type SimulationPlan, type Step } from './steps.ts';

let stopTicking: () => void;

beforeEach(() => {
  stopTicking = tick();
});

afterEach(() => {
  stopTicking();
  vi.restoreAllMocks();
});

/** The first life from this seed on that fails. */
async function firstFailure(from: number, most: number): Promise<FailedLife | undefined> {
  for (let seed = from; seed < from + most; seed++) {
    const failed = await runLife(seed, noCounts());
    if (failed !== undefined) return failed;
  }
  return undefined;
}

describe('a simulated life', () => {
  it('is the same for the same seed', async () => {
    for (const seed of [1, 2, 3, 77]) {
      expect(planOf(seed)).toEqual(planOf(seed));
      const counts: SimulationCounts[] = [noCounts(), noCounts()];
      for (const one of counts) expect(await runLife(seed, one)).toBe(undefined);
      expect(counts[0]).toEqual(counts[1]);
      expect(counts[0]?.verified).toBeGreaterThan(1);
    }
  });

  it.each(Array.from({ length: 60 }, (_, at) => 1001 + at))(
    'keeps every promise: seed %i',
    async (seed) => {
      expect(await runPlan(planOf(seed), { seed, cutsBeside: 0.1 }, noCounts())).toBe(undefined);
    },
  );

  it('runs with any of its steps left out', async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(100_000), fc.nat(), async (seed, out) => {
        const { settings, steps } = planOf(seed);
        const leaving = new Random(out);
        const plan = { settings, steps: steps.filter(() => leaving.chance(0.6)) };
        expect(await runPlan(plan, { seed, cutsBeside: 0 }, noCounts())).toBe(undefined);
      }),
      { numRuns: 40 },
    );
  });

  it('is not changed by the power cuts that are tried beside it', async () => {
    const seed = 11;
    const [alone, beside] = [noCounts(), noCounts()];
    await runPlan(planOf(seed), { seed, cutsBeside: 0 }, alone);
    await runPlan(planOf(seed), { seed, cutsBeside }, beside);
    expect(beside.cuts).toBeGreaterThan(alone.cuts + 5);
    const { batches, kills, faults } = alone;
    expect(beside).toMatchObject({ batches, kills, faults });
  });
});

describe('a plan that fails', () => {
  const put = (length: number): Step => ({ do: 'put', length });

  it('is made as short as it can be', async () => {
    const fails = async ({ steps }: SimulationPlan): Promise<boolean> => {
      const reopened = steps.findIndex((step) => step.do === 'reopen');
      const after = steps.slice(reopened + 1);
      return reopened >= 0 && after.some((step) => step.do === 'put' && step.length > 40);
    };
    for (const seed of [5, 6, 7]) {
      const { settings, steps } = planOf(seed);
      const long = [...steps, { do: 'reopen' } as const, ...steps, put(3000), ...steps];
      const found = await shrink({ settings, steps: long }, fails);
      expect(found.steps.map((step) => step.do)).toEqual(['reopen', 'put']);
      expect(found.steps[1]).toMatchObject({ length: expect.toSatisfy((n: number) => n < 100) });
    }
  });

  it('loses the steps of its sessions that the failure does not need', async () => {
    const archiving = (step: Step): boolean =>
      step.do === 'commit' && step.sessions.some(({ archive }) => archive.length > 0);
    const fails = async ({ steps }: SimulationPlan): Promise<boolean> => steps.some(archiving);
    const plan = planOf(8);
    expect(await fails(plan)).toBe(true);
    const { steps } = await shrink(plan, fails);
    expect(steps.length).toBe(1);
    const [commit] = steps as [Extract<Step, { do: 'commit' }>];
    expect(commit.sessions.length).toBe(1);
    expect(commit.sessions[0]).toMatchObject({ push: [], archive: [expect.any(Number)] });
  });
});

describe('the simulation finds', () => {
  it('a disk whose syncs do nothing after the first four, and shows it in a few steps', async () => {
    const { endSync } = SimulatedDisk.prototype;
    const syncs = new WeakMap<SimulatedDisk, number>();
    vi.spyOn(SimulatedDisk.prototype, 'endSync').mockImplementation(function lying(
      this: SimulatedDisk,
      sync,
    ) {
      const count = syncs.get(this) ?? 0;
      syncs.set(this, count + 1);
      endSync.call(this, count >= 4 ? { ...sync, covered: 0 } : sync);
    });
    const failed = await firstFailure(100, 40);
    expect(failed?.message).toMatch(/acknowledged|is not there|is .*, it should be|damaged|ends/);
    expect(failed?.plan.steps.length).toBeLessThan(8);
  });
});
