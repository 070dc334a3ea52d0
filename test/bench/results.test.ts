/**
 * The page and the charts that a run of the benches leaves, from answers that are made up.
 *
 * What is checked: everything that was found is there, names with marks of XML and Markdown in them
 * do no harm, and a chart is well-formed with no number in it that is none.
 */
import { describe, expect, it } from 'vitest';
import type { Answer, Chart } from '../../bench/support/answer.ts';
import { chartPicture } from '../../bench/support/charts/chart-picture.ts';
import { resultsText } from '../../bench/support/results.ts';
import { elementsOf } from './well-formed.ts';

const bars: Chart = {
  shape: 'bars',
  title: 'commit <of "one" & all>',
  scale: { of: 'time' },
  better: 'less',
  bars: [
    { name: 'pwrite & fdatasync', kind: 'floor', value: 0.1 },
    { name: 'varve', kind: 'varve', value: 0.12 },
    { name: 'other <store>', kind: 'peer', value: 0.2 },
    { name: 'broken store', kind: 'peer', value: null },
  ],
};

const pairs: Chart = {
  shape: 'paired-bars',
  title: 'commit',
  scale: { of: 'time' },
  better: 'less',
  pair: ['fresh', 'warm'],
  bars: [
    { name: 'pwrite & fdatasync', kind: 'floor', values: [0.2, 0.1] },
    { name: 'varve', kind: 'varve', values: [0.4, 0.12] },
    { name: 'half a store', kind: 'peer', values: [null, 0.3] },
  ],
};

const curves: Chart = {
  shape: 'curves',
  title: 'get',
  scale: { of: 'time' },
  over: 'values',
  curves: [
    {
      name: 'any',
      kind: 'varve',
      points: [
        [1e3, 2e-4],
        [1e6, 4e-4],
      ],
    },
    { name: 'flat', kind: 'varve', points: [[1e3, 2e-4]] },
    { name: 'none', kind: 'floor', points: [] },
  ],
};

function answerWith(...charts: readonly Chart[]): Answer {
  return {
    name: 'one-client',
    title: 'One client & <more>',
    quick: false,
    machine: {
      processor: 'Some Processor',
      cores: 2,
      memoryBytes: 8 * 1024 ** 3,
      system: 'linux 6.1',
      node: 'v20.20.0',
      fileSystem: 'ext4',
      measuredAt: '2026-02-03T04:05:06.000Z',
    },
    sections: [
      { title: 'commits', text: 'varve  120 us', figures: {}, charts, contestants: [] },
      { title: 'more commits', text: 'varve  130 us', figures: {}, charts: [], contestants: [] },
    ],
    goals: [
      { goal: 'a <= 1 | b', value: 0.5, most: 1, holds: true },
      { goal: 'c >= 2', value: 1, least: 2, holds: false },
      { goal: 'd', value: null, most: 1, holds: false },
    ],
  };
}

describe('the page of results', () => {
  const run = { command: 'npm run bench -- --results', seconds: 321 };
  const text = resultsText([answerWith(bars)], run, new Set(['one-client']));

  it('says on which machine, when and how it was measured', () => {
    for (const part of ['Some Processor, 2 cores, 8192 MiB', 'Node v20.20.0, ext4']) {
      expect(text).toContain(part);
    }
    expect(text).toContain('2026-02-03 04:05 UTC\nnpm run bench -- --results\n321 s in all');
  });

  it('has every table and the chart', () => {
    expect(text).toContain('### commits\n\n```text\nvarve  120 us\n```');
    expect(text).toContain('### more commits\n\n```text\nvarve  130 us\n```');
    expect(text).toContain('](charts/one-client.svg)');
  });

  it('gives the result of every goal, with the missed ones in bold', () => {
    expect(text).toContain('| one-client | a &lt;= 1 \\| b | 0.50, holds |');
    expect(text).toContain('| one-client | c >= 2 | **1.00, misses by 50.0 %** |');
    expect(text).toContain('| one-client | d | **not measured** |');
  });

  it('says that the run was shortened, and names no missing chart', () => {
    const quick = resultsText([{ ...answerWith(), quick: true }], run, new Set());
    expect(quick).toContain('Shortened');
    expect(quick).not.toContain('.svg');
    expect(text).not.toContain('Shortened');
  });
});

describe('a chart', () => {
  it('is well-formed with marks of XML in its names, a bar for each that was measured', () => {
    const svg = chartPicture(answerWith(bars)) ?? '';
    const legendAndBackground = 3 + 1;
    expect(elementsOf(svg).get('rect')).toBe(3 + legendAndBackground);
    expect(svg).toContain('other &lt;store&gt;');
    expect(svg).toContain('not measured');
    expect(svg).not.toContain('NaN');
  });

  it('has two bars on one scale for each that was measured fresh and warm', () => {
    const svg = chartPicture(answerWith(pairs)) ?? '';
    const legendAndBackground = 3 + 1;
    expect(elementsOf(svg).get('rect')).toBe(5 + legendAndBackground);
    for (const text of ['400 us fresh', '120 us warm', 'not measured fresh', '300 us warm']) {
      expect(svg).toContain(`>${text}</text>`);
    }
    const bars = [...svg.matchAll(/<rect[^>]* width="([\d.]+)" height="15"[^>]*>/g)];
    const [floorFresh, floorWarm, varveFresh] = bars.map(([, width]) => Number(width));
    expect(varveFresh).toBeCloseTo(2 * (floorFresh ?? 0), 1);
    expect(floorFresh).toBeCloseTo(2 * (floorWarm ?? 0), 1);
    expect(svg).not.toMatch(/NaN|Infinity/);
  });

  it('draws curves over decades, leaving out those without points', () => {
    const svg = chartPicture(answerWith(curves)) ?? '';
    const counts = elementsOf(svg);
    expect([counts.get('polyline'), counts.get('circle')]).toEqual([2, 3]);
    expect(svg).toMatch(/10³[\s\S]*10⁶/);
    expect(svg).not.toContain('none</text>');
    expect(svg).not.toMatch(/NaN|Infinity/);
  });

  it('is well-formed if nothing was measured', () => {
    const empty: Chart = { ...curves, curves: [] };
    const unmeasured: Chart = { ...bars, bars: [{ name: 'varve', kind: 'varve', value: null }] };
    const pair = [{ name: 'varve', kind: 'varve', values: [null, Number.NaN] }] as const;
    const unpaired: Chart = { ...pairs, bars: pair };
    const svg = chartPicture(answerWith(empty, unmeasured, unpaired)) ?? '';
    expect(elementsOf(svg).get('svg')).toBe(1);
    expect(svg).not.toMatch(/NaN|Infinity/);
  });

  it('is absent if an answer has none', () => {
    expect(chartPicture(answerWith())).toBe(undefined);
  });

  it('is checked by a checker that finds errors', () => {
    for (const wrong of ['<g>', '<g></b>', '<g>a & b</g>', '<g/><g/>', '<g a="<"/>', 'x<g/>']) {
      expect(() => elementsOf(wrong), wrong).toThrow();
    }
  });
});
