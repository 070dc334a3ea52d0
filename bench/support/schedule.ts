/**
 * The questions that `npm run bench` asks, in this order, and the time that each may take.
 *
 * Invariant: the budgets add up to less than 15 minutes, and to less than 90 seconds with
 * `--quick`; a test holds them to that. A question that takes longer is told of, not stopped.
 */

export interface Scheduled {
  /** Of its file, `bench/<name>.ts`. */
  readonly name: string;
  /** Seconds that it may take, on a quiet machine with two cores and all peers. */
  readonly seconds: number;
  readonly quickSeconds: number;
}

export const schedule: readonly Scheduled[] = [
  { name: 'one-client', seconds: 60, quickSeconds: 7 },
  { name: 'many-clients', seconds: 115, quickSeconds: 8 },
  { name: 'value-sizes', seconds: 145, quickSeconds: 12 },
  { name: 'sequential', seconds: 60, quickSeconds: 7 },
  { name: 'get', seconds: 75, quickSeconds: 12 },
  { name: 'atlas', seconds: 90, quickSeconds: 8 },
  { name: 'file-size', seconds: 50, quickSeconds: 4 },
  { name: 'open', seconds: 100, quickSeconds: 11 },
  { name: 'memory', seconds: 50, quickSeconds: 4 },
  { name: 'event-loop', seconds: 60, quickSeconds: 8 },
  { name: 'scaling', seconds: 65, quickSeconds: 3 },
  { name: 'micro', seconds: 25, quickSeconds: 2 },
];

export const budgetSeconds = { full: 900, quick: 90 } as const;
