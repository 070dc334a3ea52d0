/**
 * Horizontal bars from zero, one or two for each contestant, the value beside each.
 *
 * Invariant: bars of one panel share one linear scale, so that their lengths may be compared. What
 * was not measured has no bar and says so. The second bar of a pair is paler; both are named in
 * the first pair.
 */

import type { BarChart, PairedBarChart, Scale } from '../answer.ts';
import type { Kind } from '../contestant.ts';
import { threeDigits, timeText } from '../figures.ts';
import { colourOf, element, label, look, type Piece } from './svg.ts';

/** Places in a row, from its top: the middles of its bars. */
const single = { rowHeight: 24, barHeight: 16, middles: [12], valuesWidth: 130 } as const;
const paired = { rowHeight: 42, barHeight: 15, middles: [12, 28], valuesWidth: 190 } as const;
/** Of the second bar of a pair. */
const paleness = 0.45;
const namesWidthLeast = 320;
/** Of one letter, bold, about. */
const letterWidth = 8.3;

/** A value with its unit. */
export function scaledText(scale: Scale, value: number): string {
  if (scale.of === 'time') return timeText(value);
  return `${threeDigits(value)} ${scale.unit}`;
}

interface Row {
  readonly name: string;
  readonly kind: Kind;
  readonly values: readonly (number | null)[];
}

function rowsOf(chart: BarChart | PairedBarChart): Row[] {
  if (chart.shape === 'paired-bars') return [...chart.bars];
  return chart.bars.map(({ name, kind, value }) => ({ name, kind, values: [value] }));
}

function rowName({ name, kind }: Row): string {
  return kind === 'floor' ? `floor: ${name}` : name;
}

interface Layout {
  readonly namesWidth: number;
  /** Of the longest bar. */
  readonly room: number;
  /** The value of the longest bar. */
  readonly most: number;
}

function layoutOf(rows: readonly Row[], width: number, valuesWidth: number): Layout {
  const values = rows.flatMap((row) => row.values.map((value) => value ?? 0));
  const longest = Math.max(0, ...rows.map((row) => rowName(row).length));
  const namesWidth = Math.max(namesWidthLeast, longest * letterWidth + 8);
  return {
    namesWidth,
    room: width - namesWidth - valuesWidth,
    most: Math.max(...values.filter((value) => !Number.isNaN(value)), Number.MIN_VALUE),
  };
}

export function barPanel(chart: BarChart | PairedBarChart, width: number): Piece {
  const { title, scale, better } = chart;
  const pair = chart.shape === 'paired-bars' ? chart.pair : undefined;
  const { rowHeight, barHeight, middles, valuesWidth } = pair === undefined ? single : paired;
  const rows = rowsOf(chart);
  const { namesWidth, room, most } = layoutOf(rows, width, valuesWidth);
  const note = better === 'less' ? 'shorter is better' : 'longer is better';
  const parts = [
    label(0, 14, title, { 'font-weight': 600 }),
    label(width, 14, note, { fill: look.faint, 'text-anchor': 'end' }),
  ];
  for (const [at, row] of rows.entries()) {
    const { kind, values } = row;
    const top = 26 + at * rowHeight;
    const weight = kind === 'varve' ? 600 : 400;
    const nameY = top + (values.length > 1 ? 20 : 12) + 4;
    const nameLook = { 'text-anchor': 'end', 'font-weight': weight };
    parts.push(label(namesWidth - 8, nameY, rowName(row), nameLook));
    for (const [which, value] of values.entries()) {
      const middle = top + (middles[which] ?? 0);
      const half = pair === undefined ? '' : ` ${pair[which]}`;
      if (value === null || Number.isNaN(value)) {
        const text = `not measured${half}`;
        parts.push(label(namesWidth + 4, middle + 4, text, { fill: look.faint }));
        continue;
      }
      const bar = {
        x: namesWidth,
        y: middle - barHeight / 2,
        width: Math.max(1, (value / most) * room),
        height: barHeight,
        rx: 2,
        fill: colourOf[kind],
      };
      parts.push(element('rect', which === 0 ? bar : { ...bar, 'fill-opacity': paleness }));
      const text = `${scaledText(scale, value)}${half}`;
      const x = namesWidth + bar.width + 6;
      parts.push(label(x, middle + 4, text, { 'font-weight': weight }));
    }
  }
  return { height: 30 + rows.length * rowHeight, content: parts.join('\n') };
}
