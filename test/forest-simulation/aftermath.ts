/**
 * One program from its opening to its end, and everything that must hold then: nothing under way,
 * nothing held, nothing unhandled, a clean `verify`, no value that nothing reaches, and the same
 * state after closing and opening again and after power cuts.
 *
 * Invariant: throws `SimulationFailure` for the first rule that is broken.
 */

import type { Forest } from '../../src/forest/index.ts';
import { type DiskState, powerCut, restarted } from '../support/disks/disk-state.ts';
import { SimulatedDisk } from '../support/disks/simulated-disk.ts';
import { Random } from '../support/random.ts';
import { freeEverythingArchived } from './failed-sync.ts';
import { ForestLife, type LifeCounts } from './forest-life.ts';
import { fitting } from './held-views.ts';
import { findingsOf, LifeSteps } from './life-steps.ts';
import type { State } from './model/model-state.ts';
import type { Fate, Plan, Step } from './model/plan.ts';
import { difference, namesDiffer, pushedDiffer, readAll, readPushed } from './observation.ts';
import type { CallCounts } from './world/chaos.ts';
import { withClock } from './world/clock.ts';
import { SimulationFailure, unexpected } from './world/failure.ts';
import { UnhandledErrors } from './world/in-flight.ts';
import type { Counts } from './world/reached.ts';

/** What a run has seen, for faults to be put into the next. */
export interface RunReport {
  readonly counts: LifeCounts;
  readonly reached: Counts;
  /** The calls made before each step and after the last, and until none can be struck any more. */
  readonly callsBefore: readonly CallCounts[];
  readonly calls: CallCounts;
  readonly operationsBefore: readonly number[];
  readonly operations: number;
}

/** Runs a plan, and cuts the power so often beside it. Throws `SimulationFailure`. */
export function runProgram(plan: Plan, cutsBeside = 0): Promise<RunReport> {
  return withClock(plan.settings.seed + 4, () => run(plan, cutsBeside));
}

async function run(plan: Plan, cutsBeside: number): Promise<RunReport> {
  const unhandled = new UnhandledErrors();
  const hasCuts = cutsBeside > 0 || plan.steps.some((step) => step.do === 'cut');
  const life = new ForestLife(plan, hasCuts);
  const steps = new LifeSteps(life);
  const callsBefore: CallCounts[] = [];
  const operationsBefore: number[] = [];
  let at = -1;
  try {
    await life.open();
    for (const step of plan.steps) {
      if (step.do === 'fill') life.neighbour.learn(life.forest.store, step.length);
    }
    await life.settle();
    for (const step of plan.steps) {
      at += 1;
      callsBefore.push({ ...life.chaos.counts });
      operationsBefore.push(life.operations);
      const waiting = steps.run(step);
      if (waiting !== undefined) await waiting;
    }
    at += 1;
    callsBefore.push({ ...life.chaos.counts });
    const calls = await end(life, steps);
    unhandled.check((error) => life.chaos.injected.includes(error as never));
    const { operations } = life;
    for (const { at: cut, fate } of life.cuts) await cutAt(life, cut, fate);
    await cutBeside(life, operationsBefore, cutsBeside);
    life.counts.faults = life.chaos.fired;
    const reached = reachedBy(life);
    return { counts: life.counts, reached, callsBefore, calls, operationsBefore, operations };
  } catch (error) {
    if (error instanceof SimulationFailure) {
      unhandled.errors.length = 0;
      error.message = `step ${at}: ${error.message}`;
      throw error;
    }
    throw unexpected(`step ${at}: the life throws`, error);
  } finally {
    unhandled.stop();
  }
}

function reachedBy({ reached, chaos, plan }: ForestLife): Counts {
  const { vault, dialects, journalBytes = 'default', checkpoint } = plan.settings;
  for (const kind of chaos.struck) reached.kind('fault', kind);
  for (const dialect of dialects) reached.kind('dialect', dialect);
  reached.kind('vault', vault);
  reached.kind('journalBytes', journalBytes);
  reached.kind('checkpoint', checkpoint);
  return reached.counts;
}

/** Gives the calls that were made while a fault could strike. */
async function end(life: ForestLife, steps: LifeSteps): Promise<CallCounts> {
  await life.settle();
  life.share = 1;
  steps.look();
  life.throwFailure();
  steps.releaseAll();
  await life.settle();
  life.chaos.pause(true);
  const { oldestGuard } = life.forest.store.statistics();
  if (oldestGuard !== undefined) {
    throw new SimulationFailure('a guard is left', `of batch ${oldestGuard}`);
  }
  steps.look();
  if (!life.isPoisoned) await checkSound(life, life.forest);
  life.chaos.pause(false);
  await steps.close('forest');
  const calls = { ...life.chaos.counts };
  life.chaos.disarm();
  steps.look();
  await checkSound(life, life.forest);
  await life.forest.close();
  return calls;
}

/** A clean `verify`, the neighbour's values, and no value that nothing reaches. */
async function checkSound(life: ForestLife, forest: Forest): Promise<void> {
  const found = await findingsOf(forest);
  if (found.length > 0) throw new SimulationFailure(`verify finds: ${found[0]}`);
  life.neighbour.check(forest.store);
  await checkNoLeak(life, forest, life.ledger.durable(false));
}

/** Frees everything that was archived, and counts; one of these states is the forest's. */
async function checkNoLeak(
  life: ForestLife,
  forest: Forest,
  states: readonly State[],
): Promise<void> {
  const { store } = forest;
  await freeEverythingArchived(forest);
  const { values, archivedValues } = store.statistics();
  if (archivedValues > 0) {
    throw new SimulationFailure('archived values are not freed', `${archivedValues} of them`);
  }
  let reached = 0;
  const tally = (count: number): void => {
    reached = count;
  };
  for await (const { message } of forest.verify({ tally })) {
    throw new SimulationFailure(`verify finds: ${message}`);
  }
  const root = store.embeddedHeader === undefined ? 0 : 1;
  const others =
    forest === life.forest ? life.neighbour.values.size : life.neighbour.countIn(store);
  const possible = states.map(({ pushed }) => reached + root + others + pushed.size);
  if (possible.includes(values)) return;
  const expected = possible[0] as number;
  const kind = values > expected ? 'values are left that nothing reaches' : 'values are missing';
  throw new SimulationFailure(kind, `${values} in the store, expected ${expected}`);
}

// ── power cuts ──

/** Cuts the power at operations picked at random. */
async function cutBeside(
  life: ForestLife,
  operationsBefore: readonly number[],
  count: number,
): Promise<void> {
  const { plan } = life;
  const random = new Random(plan.settings.seed + 3);
  const first = operationsBefore[0] ?? 0;
  for (let left = count; left > 0; left--) {
    const at = first + random.below(life.operations - first);
    const fate = fateOf(random);
    try {
      await cutAt(life, at, fate);
      life.counts.cuts += 1;
      life.reached.note('power cut');
    } catch (error) {
      if (!(error instanceof SimulationFailure)) throw error;
      const step = operationsBefore.findLastIndex((before) => before <= at);
      error.plan = withStep(plan, step, {
        do: 'cut',
        after: at - (operationsBefore[step] as number),
        fate,
      });
      throw error;
    }
  }
}

/** Shares of the unsynced sectors that survive a power cut. */
const survivingShares = [0, 0.1, 0.5, 0.9, 1];

function fateOf(random: Random): Fate {
  const share = survivingShares[random.below(survivingShares.length)] as number;
  return { share, seed: random.below(2 ** 31) };
}

/** The plan with one more step before another. */
export function withStep({ settings, steps }: Plan, at: number, step: Step): Plan {
  return { settings, steps: [...steps.slice(0, at), step, ...steps.slice(at)] };
}

/** Cuts the power at an operation of a life without faults, and looks at what is there then. */
async function cutAt(life: ForestLife, at: number, fate: Fate): Promise<void> {
  const state = life.slow.disk.before[at] as DiskState | undefined;
  if (state === undefined || life.chaos.fired > 0) return;
  const random = new Random(fate.seed);
  const left = restarted(powerCut(state, () => random.chance(fate.share)));
  const place = `a power cut at operation ${at}`;
  try {
    const handles = await life.openOn(new SimulatedDisk({ state: left, records: false }));
    const { forest } = handles;
    const reading = readAll(handles, (handle) => handle, { random, share: 1 });
    const states = fitting(
      'what is there after a power cut',
      life.ledger.afterCut(at),
      (one) =>
        difference(handles, reading, one) ??
        namesDiffer(forest.names(), one) ??
        life.historiesDiffer(one, handles),
    );
    const read = (id: Parameters<typeof readPushed>[1]) => readPushed(forest, id);
    const fits = fitting('pushed values after a power cut', states, (one) =>
      pushedDiffer(read, one),
    );
    life.compared();
    const found = await findingsOf(forest);
    if (found.length > 0)
      throw new SimulationFailure(`verify after a power cut finds: ${found[0]}`);
    await checkNoLeak(life, forest, fits);
    await forest.close();
  } catch (error) {
    if (error instanceof SimulationFailure) {
      error.message = `${place}: ${error.message}`;
      throw error;
    }
    throw unexpected(`${place}: opening`, error);
  }
}
