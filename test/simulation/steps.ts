/**
 * What a simulated life consists of: steps, as plain data, that can be written to a file, shortened
 * and run again.
 *
 * Invariant: any list of steps can be run, whatever was left out of it: what a step names (a value
 * to archive, how far to checkpoint) is a share of what there is when it is run. Knows nothing of
 * stores.
 */

import { loadedPageBytes } from '../../src/store/marks/mark-page.ts';
import { headedLimits } from '../support/fixtures/core-lab.ts';
import { Random } from '../support/random.ts';

/** One session. Shares are from 0 up to, not including, 1. */
export interface SessionPlan {
  /** Lengths of the values that it pushes. */
  readonly push: readonly number[];
  /** Which of the live values it archives. */
  readonly archive: readonly number[];
  /** The embedded header: its first value, or none. */
  readonly header?: 'own' | 'none';
  /** How far it moves the checkpoint, as a share of the batches there are. */
  readonly checkpoint?: number;
  readonly end: 'commit' | 'commitSync' | 'abandon';
  /** Turns of the microtask queue before the next session begins. */
  readonly pause?: number;
}

/** Which unsynced sectors survive a power cut: a share of them, chosen by a seed. */
export interface Fate {
  readonly share: number;
  readonly seed: number;
}

export type Step =
  /** Sessions that commit at once. */
  | { readonly do: 'commit'; readonly sessions: readonly SessionPlan[] }
  | { readonly do: 'put'; readonly length: number }
  | { readonly do: 'guard'; readonly share: number }
  | { readonly do: 'release'; readonly share: number }
  | { readonly do: 'read'; readonly share: number }
  | { readonly do: 'verify' }
  | { readonly do: 'reopen' }
  /** Compacts; `beside`: the next steps are done meanwhile. */
  | { readonly do: 'compact'; readonly beside: boolean }
  /** The operations after the next `after` fail so many times. */
  | {
      readonly do: 'fail';
      readonly code: 'EIO' | 'ENOSPC';
      readonly after: number;
      readonly times: number;
    }
  | { readonly do: 'fail-sync'; readonly cache: 'dropped' | 'kept'; readonly after: number }
  /** The process ends at the operation after the next `after`: with the power, or alone. */
  | { readonly do: 'cut'; readonly after: number; readonly fate: Fate }
  | { readonly do: 'kill'; readonly after: number };

/** How the store of a life is opened. */
export interface SimulationSettings {
  readonly settleBytes: number;
  /** Values of one length are the same, and the step that a process ended in is done again. */
  readonly sameBytes?: boolean;
  /** One more session pushes and commits whenever operations of the disk are under way. */
  readonly intrudes?: boolean;
  /** The store has automatic compaction, from little free space on. */
  readonly compacts?: boolean;
  readonly limits?: {
    readonly grainsPerStratum?: number;
    readonly mapsPerStratum?: number;
    readonly strataPerBasin?: number;
    readonly mapBytesMin?: number;
    readonly markBytes?: number;
  };
}

export interface SimulationPlan {
  readonly settings: SimulationSettings;
  readonly steps: readonly Step[];
}

const kibibyte = 1024;
const shares = [0, 0.1, 0.5, 0.9, 1];

export function fateOf(random: Random): Fate {
  return { share: shares[random.below(shares.length)] as number, seed: random.below(2 ** 31) };
}

/** Whether each unsynced sector survives. */
export function keeping({ share, seed }: Fate): (unit: number) => boolean {
  const random = new Random(seed);
  return () => random.chance(share);
}

/** The plan that a seed stands for. */
export function planOf(seed: number): SimulationPlan {
  const random = new Random(seed);
  // Drawn apart: the other lives stay as they were.
  const intrudes = new Random(seed + 1).chance(0.2);
  const compacts = new Random(seed + 5).chance(0.25);
  const carriedBytes = [0, 64, 512, 512, 4096][new Random(seed + 2).below(5)] ?? 0;
  const drawn = settingsOf(random);
  const settings = {
    ...drawn,
    limits: { ...drawn.limits, carriedBytes, ...boundOf(new Random(seed + 3)) },
    ...(random.chance(0.3) ? { sameBytes: true } : {}),
    ...(intrudes ? { intrudes } : {}),
    ...(compacts ? { compacts } : {}),
  };
  const steps: Step[] = [];
  const faulty = random.chance(0.6);
  const count = 4 + random.below(28);
  while (steps.length < count) steps.push(faulty ? faultyStep(random) : soundStep(random));
  return { settings, steps: withCompactions(steps, new Random(seed + 4)) };
}

/** In a third of the lives the store is compacted, up to three times, mostly with space to gain. */
function withCompactions(steps: readonly Step[], random: Random): Step[] {
  const all = [...steps];
  if (!random.chance(1 / 3)) return all;
  for (let left = 1 + random.below(3); left > 0; left--) {
    const compacting: Step[] = [{ do: 'compact', beside: random.chance(0.6) }];
    if (random.chance(0.8)) compacting.unshift(...emptying(random));
    all.splice(1 + random.below(all.length), 0, ...compacting);
  }
  if (random.chance(0.5)) all.unshift({ do: 'put', length: 30_000 + random.below(120_000) });
  return all;
}

/** Archives many values, most of them old, and frees them. */
function emptying(random: Random): Step[] {
  const push = Array.from({ length: random.below(20) }, () => lengthOf(random));
  const archive = Array.from({ length: 10 + random.below(60) }, () => random.next() ** 2);
  const end = 'commit';
  return [
    { do: 'commit', sessions: [{ push, archive, end }] },
    { do: 'commit', sessions: [{ push: [], archive: [], checkpoint: 0.999, end }] },
  ];
}

/** In half of the lives mark pages are evicted: each that can go, or beyond the first few. */
function boundOf(random: Random): { markBytes?: number } {
  if (random.chance(0.5)) return {};
  return { markBytes: random.chance(0.5) ? 0 : (1 + random.below(4)) * loadedPageBytes };
}

function settingsOf(random: Random): SimulationSettings {
  const settleBytes = (1 + random.below(8)) * kibibyte;
  if (random.chance(0.05)) return { settleBytes, limits: headedLimits };
  if (random.chance(0.6)) return { settleBytes };
  const limits = {
    grainsPerStratum: 256,
    mapsPerStratum: 1 + random.below(3),
    strataPerBasin: random.chance(0.5) ? 3 : 30,
  };
  return { settleBytes, limits };
}

function faultyStep(random: Random): Step {
  const dice = random.next();
  const after = random.below(random.chance(0.5) ? 6 : 40);
  if (dice < 0.08) return { do: 'cut', after, fate: fateOf(random) };
  if (dice < 0.12) return { do: 'kill', after };
  if (dice < 0.17) {
    const code = random.chance(0.5) ? 'EIO' : 'ENOSPC';
    return { do: 'fail', code, after, times: 1 + random.below(3) };
  }
  if (dice < 0.2) {
    const cache = random.chance(0.5) ? 'dropped' : 'kept';
    return { do: 'fail-sync', cache, after: random.below(12) };
  }
  return soundStep(random);
}

function soundStep(random: Random): Step {
  const dice = random.next();
  if (dice < 0.05) return { do: 'reopen' };
  if (dice < 0.08) return { do: 'guard', share: random.next() };
  if (dice < 0.11) return { do: 'release', share: random.next() };
  if (dice < 0.14) return { do: 'read', share: random.next() };
  if (dice < 0.16) return { do: 'verify' };
  if (dice < 0.19) return { do: 'put', length: lengthOf(random) };
  const sessions: SessionPlan[] = [];
  const count = random.chance(0.3) ? 1 + random.below(4) : 1;
  while (sessions.length < count) sessions.push(sessionOf(random, count === 1));
  return { do: 'commit', sessions };
}

function lengthOf(random: Random): number {
  const dice = random.next();
  if (dice < 0.03) return 60_000 + random.below(140_000);
  return random.below(dice < 0.15 ? 9000 : 300);
}

function sessionOf(random: Random, alone: boolean): SessionPlan {
  const many = random.chance(0.08);
  const pushes = many ? 30 + random.below(120) : random.below(5);
  const push = Array.from({ length: pushes }, (_, at) => (many ? 10 + (at % 7) : lengthOf(random)));
  const archives = random.chance(0.5) ? random.below(random.chance(0.2) ? 40 : 5) : 0;
  const archive = Array.from({ length: archives }, () => random.next());
  return {
    push,
    archive,
    ...(random.chance(0.15) ? { header: random.chance(0.7) ? 'own' : 'none' } : {}),
    ...(random.chance(0.3) ? { checkpoint: random.next() } : {}),
    end: random.chance(0.05) ? 'abandon' : alone && random.chance(0.4) ? 'commitSync' : 'commit',
    ...(random.chance(0.3) ? { pause: random.below(8) } : {}),
  };
}
