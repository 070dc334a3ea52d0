/**
 * The questions that `npm run bench` asks, in this order, and the time that each may take.
 *
 * Invariant: the budgets add up to less than 19 minutes, and to less than 90 seconds for
 * those that are in a quick run; a test holds them to that. A question that takes longer is told of, not stopped.
 */

export interface Scheduled {
  /** Of its file, `bench/<name>.ts`. */
  readonly name: string;
  /** Seconds that it may take, on a quiet machine with two cores and all peers. */
  readonly seconds: number;
  readonly quickSeconds: number;
  /** A quick run of all of them leaves it out; it has to be asked for by name. */
  readonly notInQuick?: true;
}

export const schedule: readonly Scheduled[] = [
  { name: 'one-client', seconds: 76, quickSeconds: 10 },
  { name: 'many-clients', seconds: 98, quickSeconds: 25, notInQuick: true },
  { name: 'value-sizes', seconds: 90, quickSeconds: 12 },
  { name: 'sequential', seconds: 46, quickSeconds: 7 },
  { name: 'get', seconds: 52, quickSeconds: 12 },
  { name: 'atlas', seconds: 47, quickSeconds: 8 },
  { name: 'file-size', seconds: 38, quickSeconds: 3 },
  { name: 'backup', seconds: 28, quickSeconds: 6, notInQuick: true },
  { name: 'compact', seconds: 40, quickSeconds: 8, notInQuick: true },
  { name: 'open', seconds: 77, quickSeconds: 11 },
  { name: 'import', seconds: 50, quickSeconds: 15, notInQuick: true },
  { name: 'memory', seconds: 41, quickSeconds: 3 },
  { name: 'event-loop', seconds: 28, quickSeconds: 6 },
  { name: 'streams', seconds: 28, quickSeconds: 5, notInQuick: true },
  { name: 'scaling', seconds: 36, quickSeconds: 3 },
  { name: 'micro', seconds: 24, quickSeconds: 8 },
  { name: 'forest-get', seconds: 34, quickSeconds: 2 },
  { name: 'forest-scan', seconds: 25, quickSeconds: 2 },
  { name: 'forest-load', seconds: 92, quickSeconds: 6, notInQuick: true },
  { name: 'forest-commit', seconds: 84, quickSeconds: 14, notInQuick: true },
  { name: 'forest-overwrite', seconds: 30, quickSeconds: 2 },
  { name: 'forest-tail', seconds: 28, quickSeconds: 8, notInQuick: true },
  { name: 'forest-scaling', seconds: 24, quickSeconds: 2, notInQuick: true },
];

export const budgetSeconds = { full: 1140, quick: 90 } as const;

/** The questions of a run in which none is asked for by name. */
export function questionsOf(quick: boolean): readonly Scheduled[] {
  return schedule.filter(({ notInQuick }) => !(quick && notInQuick === true));
}
