/**
 * Averages and tails of slices that are made up, of one process and of several.
 *
 * What is checked: every process counts alike, nothing within a process is left out, and what
 * failed has no figures.
 */
import { describe, expect, it } from 'vitest';
import type { Contestant } from '../../bench/support/contestant.ts';
import { measuredOf } from '../../bench/support/measured.ts';
import type { Slice } from '../../bench/support/open-contestant.ts';
import { averageOf, spreadOf } from '../../bench/support/spread.ts';

const contestant: Contestant = {
  name: 'made up',
  kind: 'varve',
  open: () => ({ run: () => undefined }),
};

function slice(...times: number[]): Slice {
  return { times, rate: 1 };
}

describe('an average', () => {
  it('has the one slow commit among many in it', () => {
    const times = Array.from({ length: 999 }, () => 1);
    const { average, time } = measuredOf(contestant, [[slice(...times), slice(1_001)]]);
    expect(average).toBe(2);
    expect(time.median).toBe(1);
    expect(time.samples).toBe(1_000);
  });

  it('is the median of those of the processes, whatever one of them went through', () => {
    const processes = [[slice(1, 3)], [slice(2, 4)], [slice(90, 110)]];
    expect(measuredOf(contestant, processes).average).toBe(3);
  });

  it('is of one operation where a run does several', () => {
    const thousand = { ...contestant, operations: 1_000 };
    const { average, time } = measuredOf(thousand, [[slice(5)], [slice(7)], [slice(9)]]);
    expect(average).toBeCloseTo(7e-3);
    expect(time.median).toBeCloseTo(7e-3);
  });

  it('of nothing, and of what failed, is no number', () => {
    expect(measuredOf(contestant, []).average).toBeNaN();
    expect(measuredOf(contestant, [[]]).average).toBeNaN();
    const failed = measuredOf(contestant, [[slice(1)]], { failure: 'no space' });
    expect([failed.average, failed.time.median, failed.rate.median]).toEqual([
      Number.NaN,
      Number.NaN,
      Number.NaN,
    ]);
    expect(failed.failure).toBe('no space');
    expect(averageOf([])).toBeNaN();
  });
});

describe('a spread', () => {
  it('has the tail of its samples', () => {
    const { median, p99, p999, max } = spreadOf(Array.from({ length: 1_001 }, (_, at) => at));
    expect([median, p99, p999, max]).toEqual([500, 990, 999, 1_000]);
  });
});
