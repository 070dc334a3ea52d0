/**
 * A small program in which every kind of call is made that can fail: of the disk, a codec, a
 * reducer, a vault, a listener. It forks and drops a tree below a held snapshot.
 */

import type { Plan } from './model/plan.ts';

export const everyCall: Plan = {
  settings: {
    seed: 1,
    dialects: [2, 5],
    nodeBytes: 512,
    cacheBytes: 0,
    checkpoint: 'automatic',
    vault: 'checked',
    diskTurns: 1,
    listenerWrites: 1,
    looks: 1,
  },
  steps: [
    {
      do: 'transaction',
      ops: [
        { do: 'puts', tree: 0, key: 0, step: 1, count: 60, value: 3 },
        { do: 'puts', tree: 3, key: 0, step: 1, count: 40, value: 3 },
        { do: 'push', length: 40 },
      ],
    },
    { do: 'settle' },
    { do: 'snapshot' },
    { do: 'put', tree: 0, key: 5, value: 9 },
    { do: 'transaction', ops: [{ do: 'fork', from: 0, to: 1 }], catches: true },
    { do: 'transaction', ops: [{ do: 'drop', tree: 1 }], turns: 2 },
    { do: 'sync', ops: [{ do: 'delete', tree: 0, key: 9 }], turns: 1 },
  ],
};
