/**
 * Counts what the programs of a campaign reach: a thing that is never reached is a hole in the
 * generator.
 *
 * Invariant: `reachable` names everything that is counted, so what is missing is seen. It checks
 * nothing and changes nothing that a life does.
 */

import { faultKinds, type Op, type Step, type VaultKind } from '../model/plan.ts';
import { dialectCount } from './dialects.ts';

const steps = Object.keys({
  transaction: true,
  sync: true,
  put: true,
  delete: true,
  update: true,
  burst: true,
  snapshot: true,
  iterate: true,
  guard: true,
  release: true,
  open: true,
  session: true,
  fill: true,
  checkpoint: true,
  compact: true,
  verify: true,
  getAsync: true,
  settle: true,
  close: true,
} satisfies Record<Exclude<Step['do'], 'cut' | 'fault'>, true>);

const ops = Object.keys({
  put: true,
  puts: true,
  delete: true,
  deleteRange: true,
  trim: true,
  fork: true,
  drop: true,
  push: true,
  archive: true,
  get: true,
  read: true,
  iterate: true,
  getAsync: true,
  rangeAsync: true,
  resume: true,
  wait: true,
  gate: true,
  outside: true,
  throw: true,
} satisfies Record<Op['do'], true>);

const vaults = Object.keys({
  none: true,
  checked: true,
  aes: true,
  compressed: true,
} satisfies Record<VaultKind, true>);

export const viewKinds = ['snapshot', 'iterator', 'reverse iterator', 'async iterator'] as const;
export const changeKinds = ['commit', 'fork', 'drop', 'range deletion', 'trim'] as const;

export type ViewKind = (typeof viewKinds)[number];
export type ChangeKind = (typeof changeKinds)[number];

/** `step transaction`, …: each of these kinds and a word before it. */
const families: readonly (readonly [string, readonly (string | number)[]])[] = [
  ['step', steps],
  ['op', ops],
  ['fault', faultKinds],
  ['vault', vaults],
  ['dialect', Array.from({ length: dialectCount }, (_, at) => at)],
  ['journalBytes', [0, 300, 800, 2000, 3000, 4000, 'default']],
  ['checkpoint', ['automatic', 'manual']],
  ...viewKinds.map((view) => [`${view} across`, changeKinds] as const),
  [
    'rejected',
    ['VARVE_IO', 'VARVE_POISONED', 'VARVE_CODEC', 'VARVE_VAULT', 'VARVE_CLOSED', 'BodyError'],
  ],
];

const others = [
  'power cut',
  'compacted',
  'compacted beside transactions',
  'compacted beside a view',
  'compaction stored nodes anew',
  'compaction aborted',
  'transactions while compacting',
  'three transactions in flight',
  'both sides of a fork written',
  'grains given again',
  'grains given again under a view',
  'stratum filled',
  'changes told in roots',
  'told changes written out',
  'share of an earlier state written',
  'earlier state written whole',
  '450 roots crossed',
  'listener wrote',
  'write within a body refused',
  'transactionSync busy',
  'body went on after an error',
  'closed with writes in flight',
  'closed with views held',
  'store closed under its forest',
  'poisoned',
  'poisoned with a push in flight',
  'failed batch lost',
  'failed batch kept',
  'session of a failed batch lost',
  'session of a failed batch kept',
] as const;

export type Other = (typeof others)[number];

const reachable: readonly string[] = [
  ...families.flatMap(([word, kinds]) => kinds.map((kind) => `${word} ${kind}`)),
  ...others,
];

export type Counts = Record<string, number>;

export class Reached {
  readonly counts: Counts = {};

  /** Something of one of the families. */
  kind(word: string, kind: string | number): void {
    this.#add(`${word} ${kind}`);
  }

  note(what: Other): void {
    this.#add(what);
  }

  #add(what: string): void {
    this.counts[what] = (this.counts[what] ?? 0) + 1;
  }
}

export function addCounts(total: Counts, counts: Readonly<Counts>): void {
  for (const [what, count] of Object.entries(counts)) total[what] = (total[what] ?? 0) + count;
}

/** What these counts lack. */
export function notReached(counts: Readonly<Counts>): string[] {
  return reachable.filter((what) => counts[what] === undefined);
}

/** A line for each family, and one for each of the others. */
export function coverageTable(counts: Readonly<Counts>): string {
  const shown = (what: string): string => (counts[what] ?? 0).toLocaleString('en');
  const rows = families.map(([word, kinds]) => {
    return [word, kinds.map((kind) => `${kind} ${shown(`${word} ${kind}`)}`).join(', ')];
  });
  for (const what of others) rows.push([what, shown(what)]);
  const width = Math.max(...rows.map(([word]) => (word as string).length));
  return rows.map(([word, text]) => `${(word as string).padEnd(width)}  ${text}`).join('\n');
}
