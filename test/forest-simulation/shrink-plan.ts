/**
 * Makes a plan that fails shorter for as long as it fails in the same way: steps are left out, then
 * operations, then numbers become smaller and settings ordinary.
 *
 * (Delta debugging, Zeller and Hildebrandt 2002.) Bounded by a number of runs, not by the clock. A
 * fault is moved a little where it no longer strikes the call that it struck.
 */

import type { Op, Plan, PlanSettings, Step } from './model/plan.ts';

export type Fails = (plan: Plan) => Promise<boolean>;

export async function shrinkPlan(plan: Plan, fails: Fails, runsMax = 1500): Promise<Plan> {
  let runs = 0;
  let best = plan;
  const tryPlan = async (candidate: Plan): Promise<boolean> => {
    for (const variant of variantsOf(candidate)) {
      if (runs >= runsMax) return false;
      runs += 1;
      if (!(await fails(variant))) continue;
      best = variant;
      return true;
    }
    return false;
  };
  for (let before = Number.POSITIVE_INFINITY; sizeOf(best) < before && runs < runsMax; ) {
    before = sizeOf(best);
    await fewer(
      () => best.steps,
      (steps) => tryPlan({ ...best, steps }),
    );
    for (let at = 0; at < best.steps.length; at++) await simplifyStep(at, () => best, tryPlan);
    await simplifySettings(() => best, tryPlan);
  }
  return best;
}

function sizeOf(plan: Plan): number {
  return JSON.stringify(plan).length;
}

/** The plan, and with its fault or its cut a few calls earlier. */
function variantsOf(plan: Plan): Plan[] {
  const { settings, steps } = plan;
  const at = steps.findIndex((step) => step.do === 'fault' || step.do === 'cut');
  const step = steps[at];
  if (step?.do !== 'fault' && step?.do !== 'cut') return [plan];
  const { after } = step;
  const others = [after - 1, after - 2, after - 3, after >> 1].filter((other) => other >= 0);
  return [after, ...new Set(others)].map((moved) => ({
    settings,
    steps: steps.map((one, index) => (index === at ? { ...step, after: moved } : one)),
  }));
}

/** Leaves out pieces of a list, halves first; `take` makes the shorter list the present one. */
async function fewer<T>(
  present: () => readonly T[],
  take: (list: readonly T[]) => Promise<boolean>,
): Promise<void> {
  let piece = Math.ceil(present().length / 2);
  for (; piece >= 1; piece = piece === 1 ? 0 : Math.ceil(piece / 2)) {
    for (let at = present().length - piece; at >= 0; at -= piece) {
      const all = present();
      await take([...all.slice(0, at), ...all.slice(at + piece)]);
    }
  }
}

async function simplifyStep(at: number, best: () => Plan, tryPlan: Fails): Promise<void> {
  const takes = (step: Step): Promise<boolean> => {
    const { settings, steps } = best();
    const others = steps.map((one, index) => (index === at ? step : one));
    return tryPlan({ settings, steps: others });
  };
  const present = (): Step => best().steps[at] as Step;
  for (const key of ['hops', 'turns', 'catches', 'held'] as const) {
    if (key in present()) await takes(without(present(), key));
  }
  if ('ops' in present()) {
    const ops = (): readonly Op[] => (present() as { ops: readonly Op[] }).ops;
    await fewer(ops, (list) => takes({ ...present(), ops: list } as Step));
    for (let op = 0; op < ops().length; op++) {
      await smallerNumbers(
        () => ops()[op] as Op,
        (one) => takes({ ...present(), ops: ops().with(op, one) } as Step),
      );
    }
  }
  if ('push' in present()) {
    const { push } = present() as { push: readonly number[] };
    await fewer(
      () => (present() as { push: typeof push }).push,
      (list) => takes({ ...present(), push: list } as Step),
    );
  }
  await smallerNumbers(present, takes);
}

function without<T extends object>(value: T, key: string): T {
  const { [key as keyof T]: _, ...rest } = value;
  return rest as T;
}

/** Makes the numbers of a step or an operation smaller. */
async function smallerNumbers<T extends object>(
  present: () => T,
  takes: (value: T) => Promise<boolean>,
): Promise<void> {
  for (const key of Object.keys(present())) {
    if (key === 'tree' || key === 'from' || key === 'to' || key === 'gate') continue;
    const range = (present() as Record<string, unknown>)[key];
    if (key === 'range' && Object.keys(range as object).length > 0) {
      await takes({ ...present(), range: {} });
    }
    for (const next of [() => 0, (value: number) => Math.floor(value / 2)]) {
      for (;;) {
        const value = (present() as Record<string, unknown>)[key];
        if (typeof value !== 'number' || value < 1) break;
        const smaller = key === 'share' ? 0 : next(value);
        if (!(await takes({ ...present(), [key]: smaller }))) break;
      }
    }
  }
}

async function simplifySettings(best: () => Plan, tryPlan: Fails): Promise<void> {
  const takes = (settings: PlanSettings): Promise<boolean> => tryPlan({ ...best(), settings });
  const plain: Partial<PlanSettings> = {
    vault: 'none',
    checkpoint: 'automatic',
    diskTurns: 0,
    listenerWrites: 0,
    looks: 0,
    dialects: [0, 0],
  };
  for (const [key, value] of Object.entries(plain)) {
    const now = best().settings;
    if (JSON.stringify(now[key as keyof PlanSettings]) === JSON.stringify(value)) continue;
    await takes({ ...now, [key]: value });
  }
  for (const key of [
    'compacts',
    'settleBytes',
    'nodeCacheBytes',
    'cacheBytes',
    'journalBytes',
    'nodeBytes',
  ]) {
    if (key in best().settings) await takes(without(best().settings, key));
  }
}
