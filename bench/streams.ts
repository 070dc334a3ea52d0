/**
 * `npm run bench -- streams`: a file that goes into a store as one value, by `pushStream`, and
 * comes out again into another file, by `createReadStream`; how fast that is beside a plain copy of
 * the file, and the memory that it takes.
 *
 * A copy reads and writes 512 KiB at a time, in one memory, and ends in `fdatasync`. One with new
 * chunks takes new memory for each 256 KiB, as a read stream of Node's does: the engine frees them
 * when they are 32 MiB. The system's copy does not touch the bytes. `VARVE_BENCH_STREAM_BYTES` says
 * how many bytes: a value has up to 4 GiB - 1 KiB (4294966272). Memory is the most that the process
 * ever had, beyond that of the process which copies without a store. No peer stores a value in parts.
 */

import type { BarChart } from './support/answer.ts';
import { mebibytesText, tableText, timeText } from './support/figures.ts';
import { ask, type FreeResult } from './support/question.ts';
import { copiesOf, type Way, ways } from './support/stream-copies.ts';

const mebibyte = 1024 * 1024;
const title = 'a file as one value, in and out';
const names: Readonly<Record<Way, string>> = {
  plain: 'plain copy',
  new: 'plain copy, new chunks',
  kernel: 'copy by the system',
  in: 'into the store',
  out: 'out of it, new chunks',
  own: 'out of it, into own memory',
};
const streams = ['in', 'own', 'out'] as const;
/** The copy without a store whose memory is made in the same way. */
const floors: Readonly<Record<Way, Way>> = {
  plain: 'plain',
  new: 'plain',
  kernel: 'plain',
  in: 'plain',
  own: 'plain',
  out: 'new',
};

function bytesAsked(quick: boolean): number {
  const asked = Number(process.env['VARVE_BENCH_STREAM_BYTES'] ?? 0);
  return asked > 0 ? asked : (quick ? 64 : 256) * mebibyte;
}

async function measure(folder: string, quick: boolean): Promise<FreeResult> {
  const bytes = bytesAsked(quick);
  const copies = await copiesOf(folder, bytes, quick ? 1 : 4);
  const least = (way: Way, part: 'milliseconds' | 'peakBytes'): number =>
    Math.min(...(copies.get(way) ?? []).map((one) => one[part]));
  const most = (way: Way): number =>
    Math.max(...(copies.get(way) ?? []).map(({ peakBytes }) => peakBytes));
  const beyond = (way: Way): number => most(way) - least(floors[way], 'peakBytes');
  const milliseconds = (way: Way): number => least(way, 'milliseconds');
  const figures: Record<string, number> = {};
  for (const way of streams) {
    figures[`speed ${way}`] = milliseconds('plain') / milliseconds(way);
    figures[`memory ${way}`] = beyond(way) / mebibyte;
  }
  const rate = (way: Way): number => bytes / 1e3 / milliseconds(way);
  const rows = ways.map((way) => [
    names[way],
    timeText(milliseconds(way)),
    `${Math.round(rate(way))} MB/s`,
    (milliseconds('plain') / milliseconds(way)).toFixed(2),
    mebibytesText(most(way)),
    mebibytesText(beyond(way)),
  ]);
  const heading = ['', 'least time', 'speed', 'of a plain copy', 'peak memory', 'beyond a copy'];
  const text = [tableText(heading, rows), `${mebibytesText(bytes)}.`].join('\n');
  const chart: BarChart = {
    shape: 'bars',
    title: `${mebibytesText(bytes)}, durable`,
    scale: { of: 'count', unit: 'MB/s' },
    better: 'more',
    bars: ways.map((way) => ({
      name: names[way],
      kind: streams.some((one) => one === way) ? 'varve' : 'floor',
      value: rate(way),
    })),
  };
  return { text, figures, charts: [chart] };
}

await ask({
  name: 'streams',
  title: 'Values larger than memory, in and out',
  peers: false,
  sections: (quick) => [{ title, measure: (folder) => measure(folder, quick) }],
  goals: streams.flatMap((way) => [
    {
      text: `${names[way]} >= 0.8 x the speed of a plain copy`,
      least: 0.8,
      // A short copy does not reach the speed of the disk.
      fullOnly: true,
      value: ({ figure }) => figure(title, `speed ${way}`),
    },
    {
      text: `${names[way]} in less than 32 MiB of memory`,
      most: 32,
      value: ({ figure }) => figure(title, `memory ${way}`),
    },
  ]),
});
