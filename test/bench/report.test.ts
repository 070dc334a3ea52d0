/**
 * Tables and charts of figures that are made up.
 *
 * What is checked: averages are compared with averages, each contestant with its own floor, and the
 * two halves of a chart are of the same contestants.
 */
import { describe, expect, it } from 'vitest';
import type { Kind } from '../../bench/support/contestant.ts';
import { type Measured, measuredOf } from '../../bench/support/measured.ts';
import {
  bestPeerAverage,
  bestPeerTime,
  pairedChart,
  sectionText,
} from '../../bench/support/report.ts';

interface MadeUp {
  readonly name: string;
  readonly kind: Kind;
  readonly floor?: string;
  readonly times: readonly number[];
  readonly failure?: string;
}

function measured({ times, failure, ...contestant }: MadeUp): Measured {
  const open = () => ({ run: () => undefined });
  return measuredOf({ ...contestant, open }, [[{ times, rate: 1 }]], { failure });
}

/** Medians are all 0.1 ms; averages are not. */
const all = [
  measured({ name: 'sync', kind: 'floor', times: [0.1, 0.1, 0.1] }),
  measured({ name: 'async', kind: 'floor', times: [0.1, 0.1, 0.4] }),
  measured({ name: 'varve', kind: 'varve', floor: 'async', times: [0.1, 0.1, 0.7] }),
  measured({ name: 'first peer', kind: 'peer', times: [0.1, 0.1, 1] }),
  measured({ name: 'second peer', kind: 'peer', times: [0.1, 0.1, 0.25] }),
  measured({ name: 'broken peer', kind: 'peer', times: [0.01], failure: 'no space' }),
];

function rowOf(text: string, name: string): string[] {
  const row = text.split('\n').find((line) => line.startsWith(name)) ?? '';
  return row.slice(name.length).trim().split(/ {2,}/);
}

describe('a table of averages', () => {
  const text = sectionText({ by: 'average' }, all);

  it('has the average, the median and the tail, and ratios of averages', () => {
    const heading = ['average', 'median', 'p99', 'p99.9', 'x floor', 'x best peer', 'samples'];
    expect(text.split('\n')[0]?.trim().split(/ {2,}/)).toEqual(heading);
    expect(rowOf(text, 'varve')).toEqual([
      '300 us',
      '100 us',
      '700 us',
      '700 us',
      '1.50',
      '2.00',
      '3',
    ]);
    expect(rowOf(text, 'second peer').slice(0, 5)).toEqual([
      '150 us',
      '100 us',
      '250 us',
      '250 us',
      '1.50',
    ]);
  });

  it('says what failed, and why', () => {
    expect(rowOf(text, 'broken peer')[0]).toBe('failed');
    expect(text).toContain('broken peer failed: no space');
  });
});

describe('the best peer', () => {
  it('by its average, among those that did not fail', () => {
    expect(bestPeerAverage(all)).toBeCloseTo(0.15);
    expect(bestPeerTime(all)).toBeCloseTo(0.1);
    expect(bestPeerAverage([])).toBeNaN();
  });
});

describe('a chart of both halves', () => {
  it('has the averages of each contestant, fresh and warm', () => {
    const warm = all.map(({ contestant }, at) =>
      measuredOf(contestant, [[{ times: [at + 1], rate: 1 }]]),
    );
    const chart = pairedChart('commits', { by: 'average' }, { fresh: all, warm });
    expect(chart).toMatchObject({ shape: 'paired-bars', better: 'less', pair: ['fresh', 'warm'] });
    expect(chart.bars.map(({ name }) => name)).toEqual(all.map((one) => one.contestant.name));
    expect(chart.bars[2]?.values[0]).toBeCloseTo(0.3);
    expect(chart.bars[2]?.values[1]).toBe(3);
  });

  it('is longer where more is better', () => {
    const shown = { by: 'rate', unit: 'commits/s' } as const;
    const chart = pairedChart('commits', shown, { fresh: all, warm: all });
    expect(chart.better).toBe('more');
    expect(chart.bars[0]?.values).toEqual([1, 1]);
  });
});
