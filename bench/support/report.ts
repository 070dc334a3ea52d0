/**
 * What was measured, as a table and as a chart of bars for each section.
 *
 * Invariant: a ratio to a floor or a peer is between medians of one section, measured in turn.
 * What failed or was not measured says so in its row. Prints nothing.
 */

import type { BarChart } from './answer.ts';
import { countText, tableText, threeDigits, timeText } from './figures.ts';
import type { Spread } from './spread.ts';
import type { Measured } from './turns.ts';

/** How a section is shown: by the time of one operation, or by how many there are in a second. */
export type Shown =
  | { readonly by: 'time' }
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

/** The table of one section, and what its contestants have to say. */
export function sectionText(shown: Shown, all: readonly Measured[]): string {
  const table =
    shown.by === 'time'
      ? timeTable(all)
      : shown.by === 'rate'
        ? rateTable(all, 1, shown.unit)
        : rateTable(all, shown.bytes / 1e6, 'MB/s');
  const lines = [table];
  for (const one of all) {
    if (one.failure !== undefined) lines.push(`${nameOf(one)} failed: ${one.failure}`);
    else if (one.note !== undefined) lines.push(`${nameOf(one)}: ${one.note}`);
  }
  return lines.join('\n');
}

/** The medians of one section, side by side. */
export function sectionChart(title: string, shown: Shown, all: readonly Measured[]): BarChart {
  const factor = shown.by === 'bytes' ? shown.bytes / 1e6 : 1;
  const unit = shown.by === 'rate' ? shown.unit : 'MB/s';
  const bars = all.map((one) => ({
    name: one.contestant.name,
    kind: one.contestant.kind,
    value: shown.by === 'time' ? one.time.median : one.rate.median * factor,
  }));
  return shown.by === 'time'
    ? { shape: 'bars', title, scale: { of: 'time' }, better: 'less', bars }
    : { shape: 'bars', title, scale: { of: 'count', unit }, better: 'more', bars };
}
