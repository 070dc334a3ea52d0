/**
 * Runs the programs that seeds stand for, each by itself, beside power cuts, and again with single
 * calls failing; shortens one that breaks a rule.
 *
 * Invariant: deterministic from the seed.
 */

import { Random } from '../support/random.ts';
import { type RunReport, runProgram, withStep } from './aftermath.ts';
import { faultKinds, type LeftOut, type Plan, type Step } from './model/plan.ts';
import { planOf } from './plan-generator.ts';
import { shrinkPlan } from './shrink-plan.ts';
import { SimulationFailure } from './world/failure.ts';
import { addCounts, type Counts } from './world/reached.ts';

/** What has been tried. */
export interface CampaignCounts {
  programs: number;
  runs: number;
  transactions: number;
  comparisons: number;
  faults: number;
  cuts: number;
  /** How often each thing was reached that is counted (`world/reached.ts`). */
  readonly reached: Counts;
}

export function noCounts(): CampaignCounts {
  const counts = { programs: 0, runs: 0, transactions: 0, comparisons: 0, faults: 0, cuts: 0 };
  return { ...counts, reached: {} };
}

export function sumOf(all: readonly CampaignCounts[]): CampaignCounts {
  const total = noCounts();
  for (const { reached, ...counts } of all) {
    for (const key of Object.keys(counts) as (keyof typeof counts)[]) total[key] += counts[key];
    addCounts(total.reached, reached);
  }
  return total;
}

/** A program that failed, as it is kept and repeated. */
export interface FailedProgram {
  readonly seed: number;
  /** The class of the failure. */
  readonly kind: string;
  readonly message: string;
  readonly plan: Plan;
}

export interface CampaignSettings {
  readonly leaveOut: readonly LeftOut[];
  /** Runs of each program with a fault. */
  readonly faults: number;
  /** Power cuts beside each program. */
  readonly cuts: number;
}

export const usual: CampaignSettings = { leaveOut: [], faults: 4, cuts: 2 };

/** Runs the program of a seed in every way; undefined where every rule holds. Does not shorten. */
export async function runSeed(
  seed: number,
  settings: CampaignSettings,
  counts: CampaignCounts,
): Promise<FailedProgram | undefined> {
  counts.programs += 1;
  const plan = planOf(seed, settings.leaveOut);
  const aside = new Random(seed + 7);
  const { report, failed } = await tryPlan(plan, { seed, cuts: settings.cuts }, counts);
  if (report === undefined) return failed;
  for (let left = settings.faults; left > 0; left--) {
    const faulty = withFault(plan, report, aside);
    if (faulty === undefined) continue;
    const { failed: next } = await tryPlan(faulty, { seed, cuts: 0 }, counts);
    if (next !== undefined) return next;
  }
  return undefined;
}

/** Runs one plan; undefined where every rule holds. */
export async function runPlan(
  plan: Plan,
  seed: number,
  counts: CampaignCounts,
): Promise<FailedProgram | undefined> {
  return (await tryPlan(plan, { seed, cuts: 0 }, counts)).failed;
}

async function tryPlan(
  plan: Plan,
  how: { readonly seed: number; readonly cuts: number },
  counts: CampaignCounts,
): Promise<{ report?: RunReport; failed?: FailedProgram }> {
  counts.runs += 1;
  try {
    const report = await runProgram(plan, how.cuts);
    for (const key of ['transactions', 'comparisons', 'faults', 'cuts'] as const) {
      counts[key] += report.counts[key];
    }
    addCounts(counts.reached, report.reached);
    return { report };
  } catch (error) {
    if (!(error instanceof SimulationFailure)) throw error;
    const { kind, message } = error;
    return { failed: { seed: how.seed, kind, message, plan: error.plan ?? plan } };
  }
}

/**
 * The plan with one call failing that a run of it has made. Reads are the likeliest, and steps that
 * write, above all beside another one in the same turn; each step is as likely as another, however
 * many calls it makes.
 */
function withFault(plan: Plan, report: RunReport, random: Random): Plan | undefined {
  const { callsBefore, calls } = report;
  const made = likely.filter((kind) => calls[kind] > (callsBefore[0]?.[kind] ?? 0));
  const kind = made[random.below(made.length)];
  if (kind === undefined) return undefined;
  const spans = callsBefore.map((before, at) => ({
    first: before[kind],
    count: (callsBefore[at + 1] ?? calls)[kind] - before[kind],
    weight: weightOf(plan.steps, at),
  }));
  const among = spans.filter(({ count }) => count > 0);
  const weighted = among.flatMap((span) => Array<typeof span>(span.weight).fill(span));
  const span = weighted[random.below(weighted.length)];
  if (span === undefined) return undefined;
  return faultAt(plan, report, { kind, call: span.first + random.below(span.count) });
}

function weightOf(steps: readonly Step[], at: number): number {
  const [before, step] = [steps[at - 1], steps[at]];
  if (!writes.has(step?.do)) return 1;
  const inOneTurn = before?.turns === undefined && before?.hops === undefined;
  return inOneTurn && writes.has(before?.do) ? 6 : 2;
}

const likely = [...faultKinds, 'sync', 'read', 'read', 'read'] as const;
const writes = new Set<string | undefined>(['transaction', 'sync', 'put', 'delete', 'update']);

/** The plan with this call of a run failing. */
export function faultAt(
  plan: Plan,
  { callsBefore }: RunReport,
  { kind, call }: { readonly kind: (typeof faultKinds)[number]; readonly call: number },
): Plan {
  const step = callsBefore.findLastIndex((before) => before[kind] <= call);
  const after = call - (callsBefore[step]?.[kind] ?? 0);
  return withStep(plan, step, { do: 'fault', kind, after });
}

/** The shortest plan found that fails in the same way. */
export async function shortened(failed: FailedProgram): Promise<FailedProgram> {
  let best = failed;
  const fails = async (plan: Plan): Promise<boolean> => {
    const again = await runPlan(plan, failed.seed, noCounts());
    if (again?.kind !== failed.kind) return false;
    best = again;
    return true;
  };
  if (!(await fails(failed.plan))) return failed;
  await shrinkPlan(failed.plan, fails);
  return best;
}
