/**
 * Curves over a count, both axes logarithmic: what is flat, and what grows with what.
 *
 * Invariant: one decade is shown at least, so that noise does not look like growth. Each curve is
 * named at its end, with the last of its values, and has a dash of its own.
 */

import type { Curve, CurveChart, Scale } from '../answer.ts';
import { scaledText } from './bar-panel.ts';
import { colourOf, element, label, line, look, type Piece } from './svg.ts';

const leftWidth = 104;
const namesWidth = 260;
const plotTop = 34;
const plotHeight = 160;
const dashes = ['', '6 3', '2 3', '8 3 2 3', '12 4'] as const;
const varveColours = ['#0b6e4f', '#1f6feb', '#8250df', '#bc4c00', '#57606a'] as const;
const superscript = '⁰¹²³⁴⁵⁶⁷⁸⁹';

interface Range {
  /** Powers of ten. */
  readonly from: number;
  readonly to: number;
}

/** Whole decades around the values. */
function decades(values: readonly number[]): Range {
  const from = Math.floor(Math.log10(Math.min(...values)) + 1e-9);
  const to = Math.ceil(Math.log10(Math.max(...values)) - 1e-9);
  return { from, to: Math.max(to, from + 1) };
}

function powersOf({ from, to }: Range): number[] {
  return Array.from({ length: to - from + 1 }, (_, at) => from + at);
}

/** Powers of ten, and with few of them what lies between. */
function marksOf(range: Range): number[] {
  const between = range.to - range.from <= 2 ? [1, 2, 5] : [1];
  const marks = powersOf(range).flatMap((power) => between.map((part) => part * 10 ** power));
  return marks.filter((mark) => mark <= 10 ** range.to * 1.001);
}

/** Ends of curves that lie close together are named below each other. */
function spreadOut(places: readonly number[]): number[] {
  const order = places.map((_, at) => at).sort((a, b) => (places[a] ?? 0) - (places[b] ?? 0));
  const result = [...places];
  let least = Number.NEGATIVE_INFINITY;
  for (const at of order) {
    result[at] = Math.max(places[at] as number, least + 15);
    least = result[at] as number;
  }
  const tooLow = Math.max(0, least - (plotTop + plotHeight + 4));
  return result.map((place) => place - tooLow);
}

interface Axes {
  readonly x: (value: number) => number;
  readonly y: (value: number) => number;
}

function grid(chart: CurveChart, xs: Range, ys: Range, axes: Axes): string[] {
  const parts: string[] = [];
  for (const mark of marksOf(ys)) {
    const y = axes.y(mark);
    const right = axes.x(10 ** xs.to);
    parts.push(line([leftWidth, y], [right, y]));
    const text = scaledText(chart.scale, mark).replace(/\.0+(?=\D)/, '');
    parts.push(
      label(leftWidth - 8, y + 4, text, {
        'text-anchor': 'end',
        fill: look.faint,
        'font-size': 12,
      }),
    );
  }
  for (const power of powersOf(xs)) {
    const x = axes.x(10 ** power);
    parts.push(line([x, plotTop], [x, plotTop + plotHeight]));
    const digits = [...String(power)].map((digit) => superscript[Number(digit)]).join('');
    const y = plotTop + plotHeight + 18;
    const attributes = { 'text-anchor': 'middle', fill: look.faint, 'font-size': 12 };
    parts.push(label(x, y, `10${digits}`, attributes));
  }
  const middle = (leftWidth + axes.x(10 ** xs.to)) / 2;
  const attributes = { 'text-anchor': 'middle', fill: look.faint };
  parts.push(label(middle, plotTop + plotHeight + 36, chart.over, attributes));
  return parts;
}

function endText({ kind, name, points }: Curve, scale: Scale): string {
  const value = scaledText(scale, points.at(-1)?.[1] ?? Number.NaN);
  return `${kind === 'floor' ? 'floor: ' : ''}${name}, ${value}`;
}

/** `end` is written beside its last point. */
function curveParts(curve: Curve, at: number, end: { text: string; y: number }, axes: Axes) {
  const stroke =
    curve.kind === 'varve'
      ? (varveColours[at % varveColours.length] as string)
      : colourOf[curve.kind];
  const points = curve.points.map(([x, y]) => [axes.x(x), axes.y(y)] as const);
  const drawn = points.map(([x, y]) => `${x.toFixed(1)},${y.toFixed(1)}`).join(' ');
  const dash = dashes[at % dashes.length] as string;
  const [endX] = points.at(-1) ?? [0, 0];
  return [
    element('polyline', {
      points: drawn,
      fill: 'none',
      stroke,
      'stroke-width': 2,
      ...(dash === '' ? {} : { 'stroke-dasharray': dash }),
    }),
    ...points.map(([cx, cy]) => element('circle', { cx, cy, r: 3, fill: stroke })),
    label(endX + 10, end.y + 4, end.text, {
      fill: stroke,
      'font-size': 12,
      'font-weight': 600,
    }),
  ];
}

export function curvePanel(chart: CurveChart, width: number): Piece {
  const curves = chart.curves.filter(({ points }) => points.length > 0);
  const heading = label(0, 14, chart.title, { 'font-weight': 600 });
  if (curves.length === 0) {
    return { height: 40, content: heading + label(0, 32, 'not measured', { fill: look.faint }) };
  }
  const all = curves.flatMap(({ points }) => points);
  const xs = decades(all.map(([x]) => x));
  const ys = decades(all.map(([, y]) => y));
  const right = width - namesWidth;
  const share = (value: number, { from, to }: Range): number =>
    (Math.log10(value) - from) / (to - from);
  const axes: Axes = {
    x: (value) => leftWidth + share(value, xs) * (right - leftWidth),
    y: (value) => plotTop + (1 - share(value, ys)) * plotHeight,
  };
  const names = spreadOut(curves.map(({ points }) => axes.y((points.at(-1) ?? [1, 1])[1])));
  const parts = [heading, ...grid(chart, xs, ys, axes)];
  for (const [at, curve] of curves.entries()) {
    const end = { text: endText(curve, chart.scale), y: names[at] as number };
    parts.push(...curveParts(curve, at, end, axes));
  }
  return { height: plotTop + plotHeight + 44, content: parts.join('\n') };
}
