/**
 * `npm run bench -- scaling`: one store of values of 100 bytes that grows from a thousand values to
 * ten million: a durable commit of 100 of them, a get, opening and the first get, memory.
 *
 * All in one process of its own, with the default cache of 64 MiB: when the file is larger than
 * that, a get of any value reads from the system's page cache. What the measured commits store is
 * archived and freed after each. The curve of the Atlas is in `atlas`.
 */

import { join } from 'node:path';
import type { Chart, CurveChart, Scale } from './support/answer.ts';
import { bytesText, countText, mebibytesText, tableText, timeText } from './support/figures.ts';
import type { GrowthLine, GrowthTask } from './support/growth.ts';
import { ask, type FreeResult } from './support/question.ts';
import { childLines } from './support/store-process.ts';

const title = 'one store of values of 100 bytes that grows';
const counts = [1e3, 1e4, 1e5, 1e6, 1e7] as const;
const quickCounts = [1e3, 1e4, 1e5] as const;
const time: Scale = { of: 'time' };

function chart(
  text: string,
  scale: Scale,
  curves: readonly (readonly [string, (line: GrowthLine) => number])[],
  lines: readonly GrowthLine[],
): CurveChart {
  return {
    shape: 'curves',
    title: text,
    scale,
    over: 'values',
    curves: curves.map(([name, of]) => ({
      name,
      kind: 'varve',
      points: lines.map((line) => [line.count, of(line)] as const),
    })),
  };
}

function chartsOf(lines: readonly GrowthLine[]): Chart[] {
  const memory: Scale = { of: 'count', unit: 'MiB' };
  return [
    chart('durable commit of 100 values', time, [['commit', (line) => line.commit]], lines),
    chart(
      'get',
      time,
      [
        ['any of the values', (line) => line.getAny],
        ['one of 1,000', (line) => line.getHot],
      ],
      lines,
    ),
    chart('open + first get', time, [['closed before', (line) => line.open]], lines),
    chart(
      'memory of the process',
      memory,
      [['resident, loaded', (line) => line.residentBytes / 1024 ** 2]],
      lines,
    ),
  ];
}

async function measure(folder: string, quick: boolean): Promise<FreeResult> {
  const task: GrowthTask = {
    path: join(folder, 'bench.varve'),
    counts: quick ? quickCounts : counts,
    milliseconds: quick ? 80 : 1_000,
  };
  const lines = await childLines<GrowthLine>('growth-child', task);
  const rows = lines.map((line) => [
    countText(line.count),
    ...[line.commit, line.getHot, line.getAny, line.open].map(timeText),
    mebibytesText(line.residentBytes),
    bytesText(line.fileBytes),
  ]);
  const heading = ['values', 'commit of 100', 'get, of 1,000', 'get, of all', 'open + get'];
  const text = tableText([...heading, 'resident', 'file'], rows);
  const figures: Record<string, number> = {};
  const [first] = lines;
  const last = lines.at(-1);
  for (const what of ['commit', 'getHot', 'getAny', 'open'] as const) {
    figures[`growth of ${what}`] = (last?.[what] ?? Number.NaN) / (first?.[what] ?? Number.NaN);
  }
  return { text, figures, charts: chartsOf(lines) };
}

await ask({
  name: 'scaling',
  title: 'From a thousand values to ten million',
  peers: false,
  sections: (quick) => [{ title, measure: (folder) => measure(folder, quick) }],
  goals: [],
});
