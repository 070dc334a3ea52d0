/**
 * Slices of contestants that only count: which runs are samples, and which are not.
 *
 * Every slice here ends by the number of its samples, never by a clock, so no machine is too slow.
 */
import { describe, expect, it } from 'vitest';
import type { Contestant, SliceEffort } from '../../bench/support/contestant.ts';
import { OpenContestant } from '../../bench/support/open-contestant.ts';

/** A slice of that number of samples, however long it takes. */
function samples(samplesMax: number, warmUpRuns?: number): SliceEffort {
  const endless = { slice: Number.POSITIVE_INFINITY, warmUp: 0, samplesMax };
  return warmUpRuns === undefined ? endless : { ...endless, warmUpRuns };
}

interface Counted {
  readonly contestant: OpenContestant;
  readonly calls: string[];
  readonly state: { underWay: number; underWayMost: number };
}

async function counted(part: Partial<Contestant> = {}): Promise<Counted> {
  const calls: string[] = [];
  const state = { underWay: 0, underWayMost: 0 };
  const contestant = new OpenContestant({
    name: 'counted',
    kind: 'varve',
    open: (folder) => {
      calls.push(`open ${folder}`);
      return {
        async run(client) {
          calls.push(`run ${client}`);
          state.underWay += 1;
          state.underWayMost = Math.max(state.underWayMost, state.underWay);
          await undefined;
          state.underWay -= 1;
        },
        note: () => 'a note',
        close: () => void calls.push('close'),
      };
    },
    ...part,
  });
  await contestant.open('here');
  return { contestant, calls, state };
}

describe('a slice', () => {
  it('of a contestant that nothing warmed up has its very first run', async () => {
    const { contestant, calls } = await counted();
    const { times } = await contestant.slice(samples(3, 0));
    expect(times).toHaveLength(3);
    expect(calls).toEqual(['open here', 'run 0', 'run 0', 'run 0']);
  });

  it('does not count its warm-up', async () => {
    const { contestant, calls } = await counted();
    const { times } = await contestant.slice(samples(2, 5));
    expect(times).toHaveLength(2);
    expect(calls).toHaveLength(1 + 5 + 2);
  });

  it('leaves out the first run of all unless it is asked for', async () => {
    const { contestant, calls } = await counted();
    await contestant.slice(samples(2));
    expect(calls).toHaveLength(1 + 1 + 2);
    await contestant.slice(samples(2));
    expect(calls).toHaveLength(1 + 1 + 2 + 2);
  });

  it('prepares each run outside of what is timed', async () => {
    const order: string[] = [];
    const contestant = new OpenContestant({
      name: 'prepared',
      kind: 'varve',
      open: () => ({
        before: () => void order.push('before'),
        run: () => void order.push('run'),
      }),
    });
    await contestant.open('here');
    await contestant.slice(samples(2, 0));
    expect(order).toEqual(['before', 'run', 'before', 'run']);
  });

  it('has the rate of operations where a run does several', async () => {
    const { contestant } = await counted({ operations: 1_000 });
    const { times, rate } = await contestant.slice(samples(4, 0));
    const total = times.reduce((sum, time) => sum + time, 0);
    expect(rate).toBeCloseTo((4 * 1_000 * 1e3) / total);
  });

  it('rejects if a run fails', async () => {
    const contestant = new OpenContestant({
      name: 'failing',
      kind: 'varve',
      open: () => ({ run: () => Promise.reject(new Error('no space')) }),
    });
    await contestant.open('here');
    await expect(contestant.slice(samples(1))).rejects.toThrow('no space');
  });
});

describe('a slice of clients side by side', () => {
  it('counts no more runs than it is asked for, all clients together', async () => {
    const { contestant, calls, state } = await counted({ clients: 4 });
    const { times, rate } = await contestant.slice(samples(10, 0));
    expect(times).toHaveLength(10);
    expect(calls).toHaveLength(1 + 10);
    expect(state.underWayMost).toBe(4);
    expect(rate).toBeGreaterThan(0);
    expect(rate).toBeLessThan(Number.POSITIVE_INFINITY);
  });

  it('does not count its warm-up', async () => {
    const { contestant, calls } = await counted({ clients: 4 });
    const { times } = await contestant.slice(samples(10, 7));
    expect(times).toHaveLength(10);
    expect(calls).toHaveLength(1 + 7 + 10);
  });
});

describe('an open contestant', () => {
  it('gives its note when it is closed', async () => {
    const { contestant, calls } = await counted();
    expect(await contestant.close()).toBe('a note');
    expect(calls.at(-1)).toBe('close');
  });

  it('is not measured before it is open', async () => {
    const contestant = new OpenContestant({
      name: 'closed',
      kind: 'varve',
      open: () => ({ run: () => undefined }),
    });
    await expect(contestant.slice(samples(1))).rejects.toThrow('not open');
  });
});
