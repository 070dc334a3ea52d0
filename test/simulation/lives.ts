/**
 * Runs the lives that seeds stand for, one after another, and shortens one that fails.
 *
 * The clock of the store ticks with each look at it, so that the log tells one attempt at a batch
 * from another: nothing here depends on the real time but how many lives are run.
 */

import { Random } from '../support/random.ts';
import { shrink } from './shrink.ts';
import { noCounts, Simulation, type SimulationCounts, SimulationFailure } from './simulation.ts';
import { planOf, type SimulationPlan } from './steps.ts';

/** Power cuts beside a life, for each operation of its disk. */
export const cutsBeside = 1;

/** A life that failed, as it is kept and repeated. */
export interface FailedLife {
  readonly seed: number;
  readonly message: string;
  readonly plan: SimulationPlan;
}

/** The turns of the event loop in the life that runs. */
let turns = new Random(0);

/** The clocks tick from here on; to be given back what they were. */
export function tick(): () => void {
  const real = Date.now;
  const { now: realNow } = performance;
  let now = 1_000_000_000_000;
  let elapsed = 0;
  performance.now = (): number => {
    elapsed += turns.chance(0.2) ? 6 : 0.6;
    return elapsed;
  };
  Date.now = (): number => {
    now += 1;
    return now;
  };
  return () => {
    Date.now = real;
    performance.now = realNow;
  };
}

/** Runs the life of a seed; undefined where it holds. */
export async function runLife(
  seed: number,
  counts: SimulationCounts,
): Promise<FailedLife | undefined> {
  return await runPlan(planOf(seed), { seed, cutsBeside }, counts);
}

/** Runs a plan; undefined where it holds, else the shortest found that does not. */
export async function runPlan(
  plan: SimulationPlan,
  how: { readonly seed: number; readonly cutsBeside: number },
  counts: SimulationCounts,
): Promise<FailedLife | undefined> {
  const failure = await failureOf(plan, how, counts);
  if (failure === undefined) return undefined;
  const { seed } = how;
  const fails = async (shorter: SimulationPlan): Promise<boolean> =>
    (await failureOf(shorter, { seed, cutsBeside: 0 }, noCounts())) !== undefined;
  for (const candidate of [failure.plan, plan]) {
    if (!(await fails(candidate))) continue;
    const shortest = await shrink(candidate, fails);
    const last = await failureOf(shortest, { seed, cutsBeside: 0 }, noCounts());
    return { seed, message: (last ?? failure).message, plan: shortest };
  }
  return { seed, message: failure.message, plan };
}

async function failureOf(
  plan: SimulationPlan,
  how: { readonly seed: number; readonly cutsBeside: number },
  counts: SimulationCounts,
): Promise<SimulationFailure | undefined> {
  turns = new Random(how.seed + 5);
  try {
    await new Simulation(plan, how, counts).run();
    return undefined;
  } catch (error) {
    if (error instanceof SimulationFailure) return error;
    throw error;
  }
}
