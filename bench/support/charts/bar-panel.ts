/**
 * Horizontal bars from zero, one for each contestant, its value beside it.
 *
 * Invariant: bars of one panel share one linear scale, so that their lengths may be compared. What
 * was not measured has no bar and says so.
 */

import type { Bar, BarChart, Scale } from '../answer.ts';
import { threeDigits, timeText } from '../figures.ts';
import { colourOf, element, label, look, type Piece } from './svg.ts';

const rowHeight = 24;
const barHeight = 16;
const namesWidthLeast = 320;
/** Of one letter, bold, about. */
const letterWidth = 8.3;
const valuesWidth = 130;

/** A value with its unit. */
export function scaledText(scale: Scale, value: number): string {
  if (scale.of === 'time') return timeText(value);
  return `${threeDigits(value)} ${scale.unit}`;
}

function barName({ name, kind }: Bar): string {
  return kind === 'floor' ? `floor: ${name}` : name;
}

export function barPanel(chart: BarChart, width: number): Piece {
  const { title, scale, better, bars } = chart;
  const most = Math.max(...bars.map(({ value }) => value ?? 0), Number.MIN_VALUE);
  const longest = Math.max(0, ...bars.map((bar) => barName(bar).length));
  const namesWidth = Math.max(namesWidthLeast, longest * letterWidth + 8);
  const room = width - namesWidth - valuesWidth;
  const note = better === 'less' ? 'shorter is better' : 'longer is better';
  const parts = [
    label(0, 14, title, { 'font-weight': 600 }),
    label(width, 14, note, { fill: look.faint, 'text-anchor': 'end' }),
  ];
  for (const [at, bar] of bars.entries()) {
    const { kind, value } = bar;
    const middle = 38 + at * rowHeight;
    const weight = kind === 'varve' ? 600 : 400;
    parts.push(
      label(namesWidth - 8, middle + 4, barName(bar), {
        'text-anchor': 'end',
        'font-weight': weight,
      }),
    );
    if (value === null || Number.isNaN(value)) {
      parts.push(label(namesWidth + 4, middle + 4, 'not measured', { fill: look.faint }));
      continue;
    }
    const length = Math.max(1, (value / most) * room);
    const y = middle - barHeight / 2;
    const fill = colourOf[kind];
    parts.push(
      element('rect', { x: namesWidth, y, width: length, height: barHeight, rx: 2, fill }),
    );
    const x = namesWidth + length + 6;
    parts.push(label(x, middle + 4, scaledText(scale, value), { 'font-weight': weight }));
  }
  return { height: 30 + bars.length * rowHeight, content: parts.join('\n') };
}
