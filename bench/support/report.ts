/**
 * What was measured, as a table and as a chart of bars for each section.
 *
 * Invariant: a ratio to a floor or a peer is between medians of one section, measured in turn.
 * What failed or was not measured says so in its row. Prints nothing.
 */

import type { BarChart, PairedBarChart, Scale } from './answer.ts';
import { countText, tableText, threeDigits, timeText } from './figures.ts';
import type { Measured } from './measured.ts';
import type { Spread } from './spread.ts';

/** How a section is shown: by the time of one operation, or by how many there are in a second. */
export type Shown =
  /** The median. */
  | { readonly by: 'time' }
  | { readonly by: 'average' }
  | { readonly by: 'rate'; readonly unit: string }
  /** `bytes`: what one operation stores. */
  | { readonly by: 'bytes'; readonly bytes: number };

/** The floor that `one` is held against, if any was measured. */
function floorOf(one: Measured, all: readonly Measured[]): Measured | undefined {
  const { kind, floor } = one.contestant;
  if (kind === 'floor') return undefined;
  const floors = all.filter(({ contestant }) => contestant.kind === 'floor');
  return floor === undefined ? floors[0] : floors.find((each) => each.contestant.name === floor);
}

/** The least median of the peers; NaN where none was measured. */
export function bestPeerTime(all: readonly Measured[]): number {
  const times = peersOf(all).map(({ time }) => time.median);
  return times.length === 0 ? Number.NaN : Math.min(...times);
}

/** The least average of the peers; NaN if none was measured. */
export function bestPeerAverage(all: readonly Measured[]): number {
  const averages = peersOf(all).map(({ average }) => average);
  return averages.length === 0 ? Number.NaN : Math.min(...averages);
}

/** The greatest median rate of the peers; NaN where none was measured. */
export function bestPeerRate(all: readonly Measured[]): number {
  const rates = peersOf(all).map(({ rate }) => rate.median);
  return rates.length === 0 ? Number.NaN : Math.max(...rates);
}

function peersOf(all: readonly Measured[]): Measured[] {
  return all.filter(
    ({ contestant, failure }) => contestant.kind === 'peer' && failure === undefined,
  );
}

function ratioText(part: number | undefined, whole: number | undefined): string {
  const ratio = (part ?? Number.NaN) / (whole ?? Number.NaN);
  return Number.isNaN(ratio) ? '' : threeDigits(ratio);
}

function nameOf({ contestant }: Measured): string {
  return contestant.kind === 'floor' ? `floor: ${contestant.name}` : contestant.name;
}

function cellsOf(spread: Spread, text: (value: number) => string): string[] {
  return [spread.median, spread.min, spread.max].map(text);
}

/** A table without the columns of ratios that have nothing in them. */
function fullTable(heading: readonly string[], rows: readonly (readonly string[])[]): string {
  const ratios = new Set(['x floor', 'x best peer']);
  const kept = heading.map(
    (title, at) => !ratios.has(title) || rows.some((row) => (row[at] ?? '') !== ''),
  );
  const only = (cells: readonly string[]): string[] => cells.filter((_, at) => kept[at]);
  return tableText(only(heading), rows.map(only));
}

function timeTable(all: readonly Measured[]): string {
  const peer = bestPeerTime(all);
  const rows = all.map((one) => {
    const { contestant, time, failure } = one;
    if (failure !== undefined) return [nameOf(one), 'failed'];
    const floor = floorOf(one, all)?.time.median;
    const ofPeer = contestant.kind === 'varve' ? ratioText(time.median, peer) : '';
    const cells = [...cellsOf(time, timeText), timeText(time.p99)];
    const ratios = [ratioText(time.median, floor), ofPeer];
    return [nameOf(one), ...cells, ...ratios, countText(time.samples)];
  });
  const heading = ['', 'median', 'min', 'max', 'p99', 'x floor', 'x best peer', 'samples'];
  return fullTable(heading, rows);
}

function averageTable(all: readonly Measured[]): string {
  const peer = bestPeerAverage(all);
  const rows = all.map((one) => {
    const { contestant, time, average, failure } = one;
    if (failure !== undefined) return [nameOf(one), 'failed'];
    const floor = floorOf(one, all)?.average;
    const ofPeer = contestant.kind === 'varve' ? ratioText(average, peer) : '';
    const cells = [average, time.median, time.p99, time.p999].map(timeText);
    const ratios = [ratioText(average, floor), ofPeer];
    return [nameOf(one), ...cells, ...ratios, countText(time.samples)];
  });
  const heading = ['', 'average', 'median', 'p99', 'p99.9', 'x floor', 'x best peer', 'samples'];
  return fullTable(heading, rows);
}

function rateTable(all: readonly Measured[], factor: number, unit: string): string {
  const peer = bestPeerRate(all);
  const rows = all.map((one) => {
    const { contestant, rate, time, failure } = one;
    if (failure !== undefined) return [nameOf(one), 'failed'];
    const floor = floorOf(one, all)?.rate.median;
    const ofPeer = contestant.kind === 'varve' ? ratioText(rate.median, peer) : '';
    const cells = cellsOf(rate, (value) => countText(value * factor));
    const ratios = [ratioText(rate.median, floor), ofPeer];
    return [nameOf(one), ...cells, timeText(time.median), timeText(time.p99), ...ratios];
  });
  const ends = ['one: median', 'p99', 'x floor', 'x best peer'];
  return fullTable(['', unit, 'min', 'max', ...ends], rows);
}

function tableOf(shown: Shown, all: readonly Measured[]): string {
  switch (shown.by) {
    case 'time':
      return timeTable(all);
    case 'average':
      return averageTable(all);
    case 'rate':
      return rateTable(all, 1, shown.unit);
    case 'bytes':
      return rateTable(all, shown.bytes / 1e6, 'MB/s');
  }
}

/** The table of one section, and the notes of its contestants. */
export function sectionText(shown: Shown, all: readonly Measured[]): string {
  const lines = [tableOf(shown, all)];
  for (const one of all) {
    if (one.failure !== undefined) lines.push(`${nameOf(one)} failed: ${one.failure}`);
    else if (one.note !== undefined) lines.push(`${nameOf(one)}: ${one.note}`);
  }
  return lines.join('\n');
}

/** The one figure by which a section compares its contestants. */
function shownValue(shown: Shown, { time, average, rate }: Measured): number {
  switch (shown.by) {
    case 'time':
      return time.median;
    case 'average':
      return average;
    case 'rate':
      return rate.median;
    case 'bytes':
      return (rate.median * shown.bytes) / 1e6;
  }
}

function scaleOf(shown: Shown): { scale: Scale; better: 'less' | 'more' } {
  if (shown.by === 'time' || shown.by === 'average') {
    return { scale: { of: 'time' }, better: 'less' };
  }
  const unit = shown.by === 'rate' ? shown.unit : 'MB/s';
  return { scale: { of: 'count', unit }, better: 'more' };
}

/** The contestants of one section, side by side. */
export function sectionChart(title: string, shown: Shown, all: readonly Measured[]): BarChart {
  const bars = all.map((one) => {
    const { name, kind } = one.contestant;
    return { name, kind, value: shownValue(shown, one) };
  });
  return { shape: 'bars', title, ...scaleOf(shown), bars };
}

/** Two measurements of the same contestants, in the same order. */
export interface Halves {
  readonly fresh: readonly Measured[];
  readonly warm: readonly Measured[];
}

/** The contestants of one section side by side, each fresh and warm. */
export function pairedChart(title: string, shown: Shown, halves: Halves): PairedBarChart {
  const bars = halves.fresh.map((inFresh, at) => {
    const { name, kind } = inFresh.contestant;
    const values = [inFresh, halves.warm[at]] as const;
    const [fresh, warm] = values.map((one) => (one === undefined ? null : shownValue(shown, one)));
    return { name, kind, values: [fresh ?? null, warm ?? null] as const };
  });
  return { shape: 'paired-bars', title, ...scaleOf(shown), pair: ['fresh', 'warm'], bars };
}
