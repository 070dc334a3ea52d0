/**
 * Makes a plan that fails shorter, as long as it goes on failing: steps are left out, in halves and
 * then one by one; then what is in each step.
 *
 * (Delta debugging, Zeller and Hildebrandt 2002.) It does not ask why the shorter one fails.
 */

import type { SessionPlan, SimulationPlan, Step } from './steps.ts';

/** Whether a plan fails. */
export type Fails = (plan: SimulationPlan) => Promise<boolean>;

export async function shrink(plan: SimulationPlan, fails: Fails): Promise<SimulationPlan> {
  const { settings } = plan;
  const stepsFail = (steps: readonly Step[]): Promise<boolean> => fails({ settings, steps });
  let steps = plan.steps;
  for (let before = Number.POSITIVE_INFINITY; sizeOf(steps) < before; ) {
    before = sizeOf(steps);
    steps = await fewer(steps, stepsFail);
    for (let at = 0; at < steps.length; at++) {
      const only = (step: Step): Step[] => steps.map((one, other) => (other === at ? step : one));
      const simpler = await simplify(steps[at] as Step, (step) => stepsFail(only(step)));
      steps = only(simpler);
    }
  }
  return { settings, steps };
}

/** What is left of a plan, in the numbers that stand in it. */
function sizeOf(steps: readonly Step[]): number {
  return JSON.stringify(steps).length;
}

/** A part of the list that still fails, and of which no piece tried can be left out. */
async function fewer<T>(
  all: readonly T[],
  fails: (some: readonly T[]) => Promise<boolean>,
): Promise<readonly T[]> {
  let rest = all;
  for (let piece = Math.ceil(rest.length / 2); piece >= 1; piece = Math.floor(piece / 2)) {
    for (let at = rest.length - piece; at >= 0; at -= piece) {
      const without = [...rest.slice(0, at), ...rest.slice(at + piece)];
      if (await fails(without)) rest = without;
    }
  }
  return rest;
}

async function simplify(step: Step, fails: (step: Step) => Promise<boolean>): Promise<Step> {
  if (step.do === 'put') {
    const length = await smaller(step.length, (value) => fails({ ...step, length: value }));
    return { ...step, length };
  }
  if (step.do !== 'commit') return step;
  const sessionsFail = (sessions: readonly SessionPlan[]): Promise<boolean> =>
    fails({ ...step, sessions });
  let sessions = await fewer(step.sessions, sessionsFail);
  for (let at = 0; at < sessions.length; at++) {
    const only = (plan: SessionPlan): SessionPlan[] =>
      sessions.map((one, other) => (other === at ? plan : one));
    const simpler = await simplifySession(sessions[at] as SessionPlan, (plan) =>
      sessionsFail(only(plan)),
    );
    sessions = only(simpler);
  }
  return { ...step, sessions };
}

async function simplifySession(
  plan: SessionPlan,
  fails: (plan: SessionPlan) => Promise<boolean>,
): Promise<SessionPlan> {
  let best = plan;
  const { header: _, ...headless } = best;
  if (plan.header !== undefined && (await fails(headless))) best = headless;
  const { checkpoint: __, ...unchecked } = best;
  if (best.checkpoint !== undefined && (await fails(unchecked))) best = unchecked;
  const { pause: ___, ...unpaused } = best;
  if (best.pause !== undefined && (await fails(unpaused))) best = unpaused;
  best = { ...best, archive: await fewer(best.archive, (archive) => fails({ ...best, archive })) };
  best = { ...best, push: await fewer(best.push, (push) => fails({ ...best, push })) };
  for (let at = 0; at < best.push.length; at++) {
    const with_ = (length: number): SessionPlan => ({
      ...best,
      push: best.push.map((one, other) => (other === at ? length : one)),
    });
    const length = await smaller(best.push[at] as number, (value) => fails(with_(value)));
    best = with_(length);
  }
  return best;
}

/** A smaller number that still fails. */
async function smaller(value: number, fails: (value: number) => Promise<boolean>): Promise<number> {
  let best = value;
  for (const tried of [0, 10]) if (tried < best && (await fails(tried))) return tried;
  for (let half = best >> 1; half > 10 && (await fails(half)); half = best >> 1) best = half;
  return best;
}
