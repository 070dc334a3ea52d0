/**
 * The program that a seed stands for.
 *
 * Invariant: the same seed gives the same program on every machine. Forks, drops and failures meet
 * held views and full strata often; nothing here knows why that is dangerous.
 */

import { Random } from '../support/random.ts';
import {
  familySize,
  type IteratorKind,
  keysMax,
  type LeftOut,
  type Op,
  type Plan,
  type PlanRange,
  type PlanSettings,
  type Step,
  treeNames,
} from './model/plan.ts';
import { compacts, withCompactions } from './plan-compactions.ts';
import { dialectCount, isVersioned, loggedDialects, longFactor } from './world/dialects.ts';

/**
 * What a program does and does not do. What is in every program hides what can only be seen without
 * it: while nodes are shared puts take another way, and what a look has read is in memory.
 */
interface Habits {
  readonly leaveOut: readonly LeftOut[];
  /** Trees are forked. */
  readonly forks: boolean;
  /** Trees that keep their history. */
  readonly versioned: readonly number[];
  /** Little stays in memory, so that writers read what they change. */
  readonly isCold: boolean;
}

export function planOf(seed: number, leaveOut: readonly LeftOut[] = []): Plan {
  const random = new Random(seed);
  const manners = { leaveOut, forks: random.chance(0.6), isCold: random.chance(0.35) };
  const drawn = settingsOf(random, manners);
  const settings = { ...drawn, compacts: new Random(drawn.seed).chance(0.3) };
  const versioned = [...treeNames.keys()].filter((tree) => {
    return isVersioned(settings.dialects[tree < familySize ? 0 : 1]);
  });
  const habits: Habits = { ...manners, versioned };
  const steps: Step[] = [];
  if (random.chance(0.9)) steps.push(filling(random), { do: 'settle' });
  if (random.chance(0.5)) steps.push(fill(random), { do: 'settle' });
  const count = 4 + random.below(random.chance(0.2) ? 50 : 20);
  const lately: Step[] = [];
  while (lately.length < count) lately.push(...spaced(random, some(random, habits)));
  if (random.chance(0.02)) {
    lately.splice(random.below(lately.length), 0, { do: 'settle' }, burstOf(random));
  }
  steps.push(...lately);
  if (random.chance(0.2)) return withShares(random, habits, { settings, steps });
  if (random.chance(0.015)) return withManyRoots({ settings, steps });
  return compacts(seed) ? withCompactions(seed, { settings, steps }) : { settings, steps };
}

/** The plan, with so many commits in between that an earlier state is written for its roots. */
function withManyRoots({ settings, steps }: Plan): Plan {
  const { nodeBytes: _, journalBytes: __, nodeCacheBytes: ___, ...others } = settings;
  const many: Step[] = [
    { do: 'session', push: [8_000_000], archive: [], end: 'commit' },
    { do: 'transaction', ops: [{ do: 'puts', tree: 0, key: 0, step: 1, count: 120, value: 0 }] },
    { do: 'settle' },
    { do: 'burst', tree: 0, count: 1000, width: 20 },
  ];
  const at = steps.length >> 1;
  return {
    settings: { ...others, vault: 'none', dialects: [3, settings.dialects[1]] },
    steps: [...steps.slice(0, at), { do: 'settle' }, ...many, ...steps.slice(at)],
  };
}

/** The plan, with small changes that are logged, so that commits write earlier states bit by bit. */
function withShares(random: Random, habits: Habits, { settings, steps }: Plan): Plan {
  const tree = familySize * random.below(2) + random.below(2);
  const op = (): Op => {
    const key = keyOf(random);
    if (random.chance(0.2)) return { do: 'delete', tree, key };
    const count = 1 + random.below(2);
    return { do: 'puts', tree, key, step: 31, count, value: numberOf(random) };
  };
  const filled: Op = { do: 'puts', tree, key: 0, step: 1, count: 120, value: numberOf(random) };
  const stretch: Step[] = [{ do: 'transaction', ops: [filled] }, { do: 'settle' }];
  for (let left = 40 + random.below(100); left > 0; left--) {
    const dice = random.next();
    if (dice < 0.02) stretch.push(...some(random, habits));
    else if (dice < 0.04) stretch.push(forkThatFails(tree, op()));
    else if (dice < 0.07) stretch.push({ do: 'snapshot' });
    else if (dice < 0.09) stretch.push({ do: 'release', share: random.next() });
    else if (dice < 0.3) stretch.push({ do: 'sync', ops: [op()] }, { do: 'settle' });
    else stretch.push(paused(random, { do: 'transaction', ops: [op()] }));
    if (random.chance(0.5)) stretch.push({ do: 'settle' });
  }
  const at = random.below(steps.length);
  const dialects = [pick(random, loggedDialects), pick(random, loggedDialects)] as const;
  const journalBytes = pick(random, [800, 800, 2000, 4000]);
  return {
    settings: { ...settings, dialects, nodeBytes: 512, journalBytes },
    steps: [...steps.slice(0, at), ...stretch, ...steps.slice(at)],
  };
}

/** A body that stores nodes of earlier transactions, waits, and fails. */
function forkThatFails(from: number, op: Op): Step {
  const to = from - (from % familySize) + familySize - 1;
  const fork: Op[] = [
    { do: 'drop', tree: to },
    { do: 'fork', from, to },
  ];
  return { do: 'transaction', ops: [op, ...fork, { do: 'wait', turns: 3 }, { do: 'throw' }] };
}

function pick<T>(random: Random, all: readonly T[]): T {
  return all[random.below(all.length)] as T;
}

function settingsOf(random: Random, { leaveOut, isCold }: Omit<Habits, 'versioned'>): PlanSettings {
  const given = <K extends keyof PlanSettings>(key: K, all: readonly PlanSettings[K][]) => {
    const value = pick(random, all);
    return value === undefined ? {} : { [key]: value };
  };
  return {
    seed: random.below(2 ** 31),
    dialects: [random.below(dialectCount), random.below(dialectCount)],
    ...given('nodeBytes', [512, 512, 512, 1000, undefined]),
    ...given('cacheBytes', isCold ? [0] : [0, 8192, 65_536, undefined, undefined]),
    ...given('nodeCacheBytes', isCold ? [0, 0, 600] : [undefined, undefined, undefined, 0, 3000]),
    ...given('journalBytes', [undefined, undefined, undefined, 0, 300, 3000]),
    ...given('settleBytes', [undefined, 1024, 8192]),
    checkpoint: random.chance(0.8) ? 'automatic' : 'manual',
    vault: pick(random, [
      ...Array(7).fill('none'),
      ...Array(3).fill('checked'),
      'aes',
      'compressed',
    ]),
    diskTurns: pick(random, [0, 1, 1, 4]),
    listenerWrites: random.chance(0.25) ? 1 + random.below(4) : 0,
    looks: pick(random, isCold ? [0, 0, 0.2] : [1, 1, 0.3, 0]),
    ...(leaveOut.length === 0 ? {} : { leaveOut }),
  };
}

/** Steps of one turn, or with pauses in between. */
function spaced(random: Random, steps: readonly Step[]): Step[] {
  const inOneTurn = steps.length > 1 && random.chance(0.7);
  const last = steps.length - 1;
  return steps.map((step, at) => (inOneTurn && at < last ? step : paused(random, step)));
}

function paused(random: Random, step: Step): Step {
  const turns = random.chance(0.5) ? 1 + random.below(random.chance(0.3) ? 12 : 3) : 0;
  const hops = random.chance(0.2) ? random.below(8) : 0;
  return { ...step, ...(turns > 0 ? { turns } : {}), ...(hops > 0 ? { hops } : {}) };
}

/** A first transaction that makes a few trees of a few nodes each. */
function filling(random: Random): Step {
  const trees = Array.from({ length: 1 + random.below(3) }, () => treeOf(random));
  const ops = trees.map((tree): Op => {
    const count = 30 + random.below(60);
    return { do: 'puts', tree, key: 0, step: 1, count, value: numberOf(random) };
  });
  return { do: 'transaction', ops };
}

function burstOf(random: Random): Step {
  return { do: 'burst', tree: treeOf(random), count: random.chance(0.6) ? 520 : 40 };
}

function some(random: Random, habits: Habits): Step[] {
  if (habits.forks && random.chance(0.25)) return forking(random);
  if (random.chance(0.04)) return readingOn(random);
  if (random.chance(0.05)) return thinning(random, habits);
  // Nothing is in memory when these writers read what they change.
  if (random.chance(habits.isCold ? 0.1 : 0.02)) {
    return [{ do: 'close', by: 'forest' }, ...together(random, habits)];
  }
  const dice = random.next();
  if (dice < 0.24) return [transaction(random, habits)];
  if (dice < 0.34) return together(random, habits);
  if (dice < 0.4) return [{ do: 'sync', ops: opsOf(random, habits, false), ...catching(random) }];
  if (dice < 0.56) return [small(random)];
  if (dice < 0.63) return [{ do: 'snapshot' }];
  if (dice < 0.72) return [iterate(random)];
  if (dice < 0.77) return [{ do: 'release', share: random.next() }];
  if (dice < 0.8) return [{ do: 'open', gate: random.below(2) }];
  if (dice < 0.84) return [{ do: 'settle' }];
  if (dice < 0.87) return [session(random)];
  if (dice < 0.88) return reusing(random);
  if (dice < 0.92) return [fill(random)];
  if (dice < 0.94) return [{ do: 'checkpoint' }];
  if (dice < 0.95) return [{ do: 'guard' }];
  if (dice < 0.96) return [{ do: 'verify' }];
  if (dice < 0.97) return [{ do: 'getAsync', tree: treeOf(random), key: keyOf(random) }];
  return [{ do: 'close', by: random.chance(0.5) ? 'forest' : 'store' }];
}

/** A tree is forked, dropped, made again and written to in transactions that share a commit. */
function forking(random: Random): Step[] {
  const from = treeOf(random);
  const to = from - (from % familySize) + random.below(familySize);
  const written = random.chance(0.5) ? from : to;
  const put: Op = { do: 'put', tree: written, key: keyOf(random), value: numberOf(random) };
  const dropTo: Op = { do: 'drop', tree: to };
  const some: Op[][] = [
    [...(random.chance(0.5) ? [dropTo] : []), { do: 'fork', from, to }, put],
    [{ do: 'drop', tree: random.chance(0.7) ? to : from }],
    [puts(random, random.chance(0.5) ? from : to)],
    [dropTo, { do: 'fork', from, to }],
  ];
  const first = random.chance(0.6) ? 0 : random.below(some.length);
  const count = 2 + random.below(3);
  const chosen = Array.from({ length: count }, (_, at) => some[(first + at) % some.length] as Op[]);
  if (random.chance(0.3)) return [{ do: 'transaction', ops: chosen.flat(), catches: true }];
  const held: Step[] = random.chance(0.6) ? [{ do: 'snapshot' }] : [];
  // What the snapshot holds may be in memory only.
  if (random.chance(0.4)) held.unshift({ ...put, tree: from }, { do: 'settle' });
  return [...held, ...chosen.map((ops): Step => ({ do: 'transaction', ops }))];
}

/** A body awaits reads of long values that are becoming durable meanwhile. */
function readingOn(random: Random): Step[] {
  const tree = treeOf(random);
  const keys = Array.from({ length: 3 + random.below(10) }, () => keyOf(random));
  const written = keys.map((key): Op => {
    return { do: 'put', tree, key, value: longFactor * random.below(7000) };
  });
  const reads = keys.map((key): Op => ({ do: 'getAsync', tree, key }));
  const hops = random.chance(0.5) ? { hops: random.below(20) } : {};
  return [
    { do: 'transaction', ops: written, ...hops },
    { do: 'transaction', ops: [...reads, awaited(random, tree)] },
  ];
}

/** Much of a tree, or of its history, goes while a view of it is held. */
function thinning(random: Random, { versioned }: Habits): Step[] {
  const trims = versioned.length > 0 && random.chance(0.6);
  const tree = trims ? pick(random, versioned) : treeOf(random);
  const held: Step = random.chance(0.3) ? { do: 'snapshot' } : { ...iterate(random), tree };
  const thin: Op = trims
    ? { do: 'trim', tree, share: random.next() }
    : { do: 'deleteRange', tree, range: rangeOf(random) };
  const ops = [thin, ...(random.chance(0.5) ? [puts(random, tree)] : [])];
  const filled: Step = { do: 'transaction', ops: [puts(random, tree)] };
  return [filled, { do: 'settle' }, held, { do: 'transaction', ops }];
}

/** Several writers, which share a commit if they are asked for in one turn; often puts alone. */
function together(random: Random, habits: Habits): Step[] {
  const writer = pick(random, [
    () => put(random),
    () => small(random),
    () => (random.chance(0.6) ? transaction(random, habits) : small(random)),
  ]);
  return Array.from({ length: 2 + random.below(4) }, writer);
}

function put(random: Random): Step {
  return { do: 'put', tree: treeOf(random), key: keyOf(random), value: numberOf(random) };
}

function small(random: Random): Step {
  const dice = random.next();
  if (dice < 0.6) return put(random);
  const tree = treeOf(random);
  const key = keyOf(random);
  if (dice < 0.8) return { do: 'delete', tree, key };
  const to = pick(random, [numberOf(random), numberOf(random), 'null' as const, 'throw' as const]);
  return { do: 'update', tree, key, to };
}

function iterate(random: Random): Extract<Step, { do: 'iterate' }> {
  const kind = pick<IteratorKind>(random, ['range', 'range', 'keys', 'values', 'rangeAsync']);
  const held = random.chance(0.3) ? { held: true } : {};
  return { do: 'iterate', tree: treeOf(random), kind, range: rangeOf(random), ...held };
}

/** So many values of others that freed grains are used again at once. */
function fill(random: Random): Step {
  const length = pick(random, [60, 200, 400, 400, 400, 900, 4000]);
  return { do: 'fill', length, leave: random.below(150) };
}

/** Grains that are freed are given again while a view is held. */
function reusing(random: Random): Step[] {
  const length = lengthOf(random);
  const some: Step = { do: 'session', push: [length, length, length], archive: [], end: 'commit' };
  const settle: Step = { do: 'settle' };
  const held: Step = random.chance(0.5) ? { do: 'snapshot' } : iterate(random);
  const push: Op = { do: 'push', length };
  const last: Step = random.chance(0.5) ? some : { do: 'transaction', ops: [push, push] };
  const free: Step[] = [settle, { do: 'checkpoint' }, settle];
  return [some, settle, { ...some, push: [], archive: [0.999, 0.999, 0.999] }, ...free, held, last];
}

function session(random: Random): Step {
  const push = Array.from({ length: random.below(4) }, () => lengthOf(random));
  const archive = Array.from({ length: random.below(4) }, () => random.next());
  const end = pick(random, ['commit', 'commit', 'commitSync', 'abandon'] as const);
  return { do: 'session', push, archive, end };
}

function transaction(random: Random, habits: Habits): Step {
  const ops = opsOf(random, habits, random.chance(0.4));
  return { do: 'transaction', ops, ...catching(random) };
}

function catching(random: Random): { catches?: boolean } {
  return random.chance(0.3) ? { catches: true } : {};
}

function opsOf(random: Random, habits: Habits, awaits: boolean): Op[] {
  const ops: Op[] = [];
  const count = 1 + random.below(random.chance(0.3) ? 9 : 3);
  const focus = treeOf(random);
  while (ops.length < count) {
    const op = opOf(random, random.chance(0.6) ? focus : treeOf(random));
    if (habits.forks || op.do !== 'fork') ops.push(op);
  }
  if (awaits) {
    const pause: Op = random.chance(0.3)
      ? { do: 'gate', gate: random.below(2) }
      : { do: 'wait', turns: random.below(random.chance(0.2) ? 30 : 6) };
    ops.splice(random.below(ops.length + 1), 0, pause);
    if (random.chance(0.3)) ops.splice(random.below(ops.length + 1), 0, awaited(random, focus));
    if (random.chance(0.08) && !habits.leaveOut.includes('outside')) {
      ops.push({ do: 'outside', tree: focus, key: keyOf(random) });
    }
  }
  if (random.chance(0.12)) ops.splice(random.below(ops.length + 1), 0, { do: 'throw' });
  return ops;
}

function opOf(random: Random, tree: number): Op {
  const dice = random.next();
  if (dice < 0.24) return { do: 'put', tree, key: keyOf(random), value: numberOf(random) };
  if (dice < 0.34) return puts(random, tree);
  if (dice < 0.42) return { do: 'delete', tree, key: keyOf(random) };
  if (dice < 0.46) return { do: 'deleteRange', tree, range: rangeOf(random) };
  if (dice < 0.49) return { do: 'trim', tree, share: random.next() };
  if (dice < 0.64) {
    const family = tree - (tree % familySize);
    return { do: 'fork', from: tree, to: family + random.below(familySize) };
  }
  if (dice < 0.76) return { do: 'drop', tree };
  if (dice < 0.82) return { do: 'push', length: lengthOf(random) };
  if (dice < 0.86) return { do: 'archive', share: random.next() };
  if (dice < 0.88) return { do: 'get', share: random.next() };
  if (dice < 0.93) return { do: 'read', tree, range: rangeOf(random) };
  if (dice < 0.97) return { do: 'iterate', tree, range: rangeOf(random), take: random.below(6) };
  return { do: 'resume' };
}

function awaited(random: Random, tree: number): Op {
  if (random.chance(0.5)) return { do: 'rangeAsync', tree, range: rangeOf(random) };
  return { do: 'getAsync', tree, key: keyOf(random) };
}

function puts(random: Random, tree: number): Op {
  const step = pick(random, [1, 1, 3, 17]);
  const count = 5 + random.below(random.chance(0.2) ? 90 : 25);
  return { do: 'puts', tree, key: keyOf(random), step, count, value: numberOf(random) };
}

function treeOf(random: Random): number {
  return random.chance(0.5) ? random.below(2) : random.below(treeNames.length);
}

function keyOf(random: Random): number {
  return random.chance(0.1) ? keysMax - 1 - random.below(5) : random.below(keysMax);
}

function numberOf(random: Random): number {
  return random.below(100_000);
}

function lengthOf(random: Random): number {
  return pick(random, [0, 10, 100, 300, 400, 450, 2000, 9000]) + random.below(8);
}

function rangeOf(random: Random): PlanRange {
  const low = random.below(keysMax);
  const high = low + random.below(random.chance(0.3) ? keysMax : 30);
  const dice = random.below(4);
  return {
    ...(dice === 0 ? { gt: low } : dice < 3 ? { gte: low } : {}),
    ...(random.chance(0.3) ? { lt: high } : random.chance(0.5) ? { lte: high } : {}),
    ...(random.chance(0.4) ? { reverse: true } : {}),
    ...(random.chance(0.15) ? { limit: random.below(9) } : {}),
  };
}
